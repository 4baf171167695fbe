"""The names of what a training leaves behind. Loads nothing, for those who only look for them."""

BUNDLE, METRICS, CONFUSION, PAGE = "model.zip", "metrics.json", "confusion_matrix.png", "report.html"
REVIEW = "review.csv"
