"""Sources of audio (files, directories, PCM on stdin) to chunks on `call-audio`, paced like live calls."""
