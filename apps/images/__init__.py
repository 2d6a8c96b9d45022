"""Images: registered, uploaded, verified, and fetched by hosts over short-lived signed URLs."""
