"""The promises of the service under faults: real processes, a real Redis, real HTTP; every test leaves a figure."""
