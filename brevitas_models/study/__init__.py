"""Studies: many trainings that differ in some settings, one table of results, figures of it.

`config` reads the YAML, `points` says which trainings it asks for, `work` trains some of them (in
any process), `runner` hands out the work and writes what comes back, `table` and `figures` show it.
"""
