"""The steps between an empty folder and an installation that only has to be started; each is quick when it was done before."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloudsite.launcher.helper import Helper
from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.screen import Screen


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to prepare.

    `hosts`: names of the agent's hosts; `agent`: fields of agent.config.Config. `cache`: where the demo image is built;
    None: a placeholder is enough. `static`: collect static files, which only browsers need.
    """

    hosts: list[str]
    driver: str
    config: Path
    broker_url: str
    agent: dict[str, Any] = field(default_factory=dict)
    cache: Path | None = None
    static: bool = False


def prepare(helper: Helper, plan: Plan, screen: Screen) -> bool:
    """Whether there is a demo image; without one all the rest works. Raises LaunchError."""
    with screen.step("Database") as step:
        step.result(helper.do("migrate", step.say))
    if plan.static:
        with screen.step("Static files") as step:
            step.result(helper.do("static", step.say))
    with screen.step("Operator and project") as step:
        step.result(helper.do("people", step.say))
        helper.do("clouds", step.say)
    with screen.step("Flavors and network") as step:
        step.result(helper.do("flavors", step.say))
        helper.do("network", step.say)
    has_image = _demo_image(helper, plan, screen)
    if plan.hosts:
        with screen.step("Host") as step:
            name = helper.do(
                "enrol_hosts", step.say, names=plan.hosts, config=str(plan.config), state_dir=".", driver=plan.driver, **plan.agent
            )
            step.result(f"{name}, driver {plan.driver}")
    if plan.broker_url.startswith("amqp"):
        with screen.step("Queues") as step:
            helper.do("queues", step.say)
    return has_image


def _demo_image(helper: Helper, plan: Plan, screen: Screen) -> bool:
    with screen.step("Demo image") as step:
        try:
            if plan.cache:
                step.result(helper.do("image", step.say, cache=str(plan.cache)))
            else:
                step.result(helper.do("placeholder_image", step.say))
        except LaunchError as error:
            step.result(f"none, so no first instance: {str(error).splitlines()[0]}")
            return False
    return True
