"""Generators of odd and hostile input: each gives a right result or an error of the suite's own, within bounds."""
