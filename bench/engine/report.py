"""The table that bench/engine ends with: for each row what it must be and what it aims at."""

import os

from measure import say

MISSED = "MISSED"


class Report:
    def __init__(self):
        self.lines, self.missed, self.unmeasured = [], [], []
        self.resolution = 0.0  # of the model at hand

    def check(self, model, what, value, sign, must=None, aim=None):
        """One line. Against 1.00 a difference under the resolution counts as equal."""
        words = []
        if must is not None:
            words.append(f"must be {sign} {must:g} {self.verdict(value, sign, must)}")
            if self.verdict(value, sign, must) == MISSED:
                self.missed.append(f"{model}: {what}")
        if aim is not None:
            words.append(f"aim {sign} {aim:g} {self.verdict(value, sign, aim)}")
        self.add(f"  {model:8} {what:72} {value:8.2f}   " + ", ".join(words))

    def verdict(self, value, sign, target):
        def reaches(slack):
            return value + slack >= target if sign == ">=" else value - slack <= target
        if reaches(0):
            return "met"
        return "met (equal)" if target == 1.0 and reaches(self.resolution) else MISSED

    def value(self, model, what, value):
        """A line without a target."""
        self.add(f"  {model:8} {what:72} {value:8.2f}")

    def not_measured(self, model, what, why):
        self.add(f"  {model:8} {what:72} not measured: {why}")
        self.unmeasured.append(what)

    def failed(self, model, what, why):
        self.add(f"  {model:8} {what:72} FAILED: {why}")
        self.missed.append(f"{model}: {what}")

    def add(self, line):
        self.lines.append(line)
        say(line)
        results = os.environ.get("WEIR_BENCH_RESULTS")
        if results:
            with open(results, "a") as file:
                file.write(line + "\n")

    def end(self, seconds):
        say(f"\nbench/engine, {seconds / 60:.1f} minutes:")
        for line in self.lines:
            say(line)
        if self.missed:
            say("missed what must be: " + "; ".join(self.missed))
        if self.unmeasured:
            say("not measured: " + "; ".join(self.unmeasured))
        return not self.missed
