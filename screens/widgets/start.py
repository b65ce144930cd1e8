"""Step 0's form: whose account, which region, which deployment. What is found there is shown before anything else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Input, OptionList, Select, Static
from textual.widgets.option_list import Option

from screens.shown import LEVELS, button, sign, text
from screens.widgets.options import Choose, Options
from wizard.errors import Interrupted, MigrateError, NoCredentials
from wizard.guidance import CREDENTIALS, NOT_RENEWED
from wizard.session import Choice, Look, in_thread

if TYPE_CHECKING:
    from screens.app import WizardApp


class StartForm(Vertical):
    """Chooses; posts `Chosen` when the operator has settled on a deployment."""

    app: WizardApp

    class Chosen(Message):
        """The deployment to work on."""

        def __init__(self, choice: Choice):
            super().__init__()
            self.choice = choice

    def __init__(self, choice: Choice):
        super().__init__()
        self._choice = choice
        self.settled = False  # what was entered is in use

    def compose(self) -> ComposeResult:
        choice = self._choice
        yield Static("1. Whose account: profile  --profile", classes="label")
        names = [choice.profile] if choice.profile else []
        yield Choose(
            [(text(name), name) for name in names],
            prompt="none: the environment's credentials",
            value=choice.profile or Select.NULL,
            id="profile",
            compact=True,
        )
        yield Static("Region  --region (empty: the profile's)", classes="label")
        yield Input(choice.region, id="region", compact=True)
        yield Button(button("Look there"), id="look", variant="primary", compact=True)
        found = Static("", id="found")
        found.display = False
        yield found
        yield Static("2. Which deployment", classes="label")
        deployments = Options(id="deployments", compact=True)
        deployments.display = False
        yield deployments
        yield Static("DEP_NAME, like v6  --dep-name", classes="label")
        yield Input(choice.dep, id="dep", compact=True)
        yield Static("STAGE, like dev  --stage", classes="label")
        yield Input(choice.stage, id="stage", compact=True)
        yield Static("", id="start-refusal")
        yield Button(button("Use this deployment"), id="use", variant="primary", compact=True)

    def on_mount(self) -> None:
        self._load_profiles()

    @work(group="profiles")
    async def _load_profiles(self) -> None:
        try:
            names = await asyncio.wrap_future(in_thread(self.app.session.profiles))
        except Exception as error:  # a broken ~/.aws/config must not stop who uses the environment
            self._tell(sign(LEVELS["attention"], f"The profiles of boto3 could not be read: {error}"))
            return
        chooser = self.query_one("#profile", Select)
        chooser.set_options([(text(name), name) for name in names])
        if self._choice.profile in names:
            chooser.value = self._choice.profile
        if self.app.session.context is None and not self._choice.dep:
            self._look()  # what is found there is the first thing to see

    def _tell(self, words: Content) -> None:
        found = self.query_one("#found", Static)
        found.update(words)
        found.display = True

    @on(Button.Pressed, "#look")
    @work(group="look", exclusive=True)
    async def _look(self) -> None:
        session = self.app.session
        choice, focused = self.entered, self.screen.focused
        self._tell(text("Looking…"))
        try:
            look = await asyncio.wrap_future(in_thread(lambda: session.look(choice.profile, choice.region)))
        except Interrupted:
            self._tell(sign(LEVELS["blocked"], f"{NOT_RENEWED} Then press “Look there” again."))
            return
        except MigrateError as error:
            ways = f"{CREDENTIALS}\n" if isinstance(error, NoCredentials) else ""
            self._tell(sign(LEVELS["blocked"], f"{error}\n{ways}Then press “Look there” again."))
            return
        except Exception as error:
            self._tell(sign(LEVELS["blocked"], session.crashed("looking there", error)))
            return
        self._show(look)
        if self.entered.region == choice.region:  # else another one is being typed
            self.query_one("#region", Input).value = look.region
        if look.deployments and self.screen.focused is focused:
            self.screen.set_focus(self.query_one("#deployments"))

    @property
    def entered(self) -> Choice:
        """What stands in the fields."""
        profile = self.query_one("#profile", Select).value
        dep, stage, region = (self.query_one(name, Input).value.strip() for name in ("#dep", "#stage", "#region"))
        return Choice(dep, stage, region, "" if profile is Select.NULL else str(profile))

    def _show(self, look: Look) -> None:
        lines = f"account {look.account} in {look.region}, as {look.arn}"
        offered = self.query_one("#deployments", OptionList)
        offered.clear_options()
        if look.deployments:
            lines += "\nIs this the right account and region? Choose the deployment:"
            for dep, stage, count in look.deployments:
                offered.add_option(Option(text(f"{dep}/{stage}  ({count} tables)"), id=f"{dep}/{stage}"))
        else:
            lines += "\nNo Amplify deployment is seen there. Another region or profile? Else enter its names below."
        self._tell(sign(LEVELS["ok" if look.deployments else "attention"], lines))
        offered.display = bool(look.deployments)
        if look.deployments:
            offered.highlighted = 0

    @on(OptionList.OptionSelected, "#deployments")
    def _pick(self, event: OptionList.OptionSelected) -> None:
        dep, _, stage = str(event.option.id).partition("/")
        self.query_one("#dep", Input).value = dep
        self.query_one("#stage", Input).value = stage
        self.screen.set_focus(self.query_one("#use", Button))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.query_one("#look" if event.input.id == "region" else "#use", Button).press()

    @on(Button.Pressed, "#use")
    def _use(self) -> None:
        choice = self.entered
        if not choice.dep or not choice.stage:
            self.refuse("Enter both DEP_NAME and STAGE, or look there and choose.")
            return
        self.refuse("")
        self.post_message(self.Chosen(choice))

    def refuse(self, why: str) -> None:
        """Say why the choice cannot be used."""
        self.query_one("#start-refusal", Static).update(text(f"× {why}" if why else ""))
