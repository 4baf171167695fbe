"""What a clone needs beside the package itself: set-up, and what is generated into `deploy/`."""
