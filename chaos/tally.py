"""What one fault run counted, from the verdicts on all plans of its house."""

from dataclasses import dataclass, field

from chaos.house import House
from chaos.verdict import judge


@dataclass(slots=True)
class Tally:
    """The counts of one fault run. Everything in ``problems`` is a sentence, and there must be none."""

    fault: str
    plans: int = 0
    completed: int = 0
    unknown: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    seen: str = ""
    """What shows that the fault took place."""
    problems: list[str] = field(default_factory=list)

    def demand(self, so: bool, sentence: str) -> None:
        """Note ``sentence`` as a problem unless it is so."""
        if not so:
            self.wrong += 1
            self.problems.append(sentence)


async def tally(fault: str, house: House) -> Tally:
    """Stop the house's processes and count."""
    codes = await house.stop()
    counts = Tally(fault, plans=len(house.promises))
    counts.demand(not any(codes), f"The processes ended with {codes}.")
    for promise in house.promises:
        verdict = judge(await house.story(promise))
        counts.completed += verdict.ending == "completed"
        counts.unknown += verdict.ending == "unknown"
        counts.lost += len(verdict.lost)
        counts.twice += len(verdict.twice)
        counts.wrong += len(verdict.wrong)
        said = (*verdict.lost, *verdict.twice, *verdict.wrong)
        counts.problems += [f"{promise.kind} plan {promise.plan_id}: {sentence}" for sentence in said]
    plans, missing = await house.plan_count(), await house.missing_events()
    counts.demand(plans == len(house.promises), f"The store holds {plans} plans, {len(house.promises)} were asked for.")
    counts.demand(not missing, f"{missing} events are missing in the log.")
    return counts
