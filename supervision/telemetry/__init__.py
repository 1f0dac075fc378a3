"""What is told to the outside: metrics, read at scrape time, and log lines, made of what was committed."""
