"""Language models as explainer and judge: what they are asked, and what their answers are worth."""
