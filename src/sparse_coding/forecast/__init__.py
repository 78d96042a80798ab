"""What a run will take: by counting, which is free and asked at each start, and by probing this machine."""
