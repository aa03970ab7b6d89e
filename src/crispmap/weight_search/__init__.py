"""The boundary weight chosen while a network trains: branches for several weights, the best of which goes on.

`crispmap.weight_search.plan` says which parts a run has and what they cost, `crispmap.weight_search.tree` is the record
of what was trained and chosen, `crispmap.weight_search.branches` trains, and `crispmap.weight_search.search` steers.
"""
