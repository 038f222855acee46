"""What verifying costs beside the bare library calls; ``docs/benchmarks.md`` says how to run and read it."""
