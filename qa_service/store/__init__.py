"""Redis: session log, FAQ cache, job queue, wake-up hints, and who is active. It knows no HTTP and answers nothing."""
