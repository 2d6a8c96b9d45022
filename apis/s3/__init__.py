"""S3: a dialect in front of `apps.objects`. It translates and decides nothing; see apis/README.md."""
