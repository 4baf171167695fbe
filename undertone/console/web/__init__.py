"""`undertone console`: a page that shows live calls, fed by one reader of `emotion-events`."""
