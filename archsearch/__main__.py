"""`python -m archsearch`, the same as the command `archsearch`."""

from archsearch.search.cli.commands import main

main()
