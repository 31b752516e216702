"""Long runs against what goes wrong, with numbers at the end: `./run soak meters`. Each says PASSED or FAILED."""
