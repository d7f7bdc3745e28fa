"""Other ways to compute the same windows, for `bench.drain`: one module a kind of rival."""
