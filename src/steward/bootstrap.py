"""The composition root: the only place that knows every implementation. Settings in, an open ``Application`` out."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from prometheus_client import CollectorRegistry

from steward.actions import ActionCatalogue, load_modules
from steward.actions.builtin import builtin_actions
from steward.actions.discovery import load_entry_points
from steward.adoption import adopter
from steward.audit_log import AuditLog
from steward.audit_logs.sql import SqlAuditLog
from steward.authenticator import Authenticator
from steward.authenticators.api_key import ApiKeyAuthenticator
from steward.authenticators.chain import Chain
from steward.authenticators.session import Sessions
from steward.clock import Clock, SystemClock
from steward.database import Bell, Database, bell_for
from steward.database.migrate import upgrade
from steward.database.public_keys import refuse_a_stranger
from steward.directories.sql import SqlDirectory
from steward.directory import Directory
from steward.doors import Doors
from steward.errors import ConfigurationError
from steward.evidence_desk import EvidenceDesk
from steward.ids import IdFactory
from steward.language_model import LanguageModel, ModelBudget
from steward.language_models.any_provider import AnyProviderModel, ModelAddress, TokenCount
from steward.language_models.sql_budget import NoBudget, Price, SqlModelBudget, money_per_day, tokens_per_minute
from steward.maintenance import Duty
from steward.maintenance.archiver import Archiver, archiver
from steward.maintenance.door_keeper import door_keeper
from steward.maintenance.pruner import audit_pruner, pruner
from steward.maintenance.sweeper import sweeper
from steward.orchestrator import Orchestrator
from steward.planner import Planner
from steward.planners.language_model import ModelPlanner
from steward.planners.sentences import SentencePlanner
from steward.planners.templates import check_templates
from steward.policies.cedar_policies import CedarPolicies
from steward.policies.lists import ListPolicy
from steward.policy import Policies
from steward.policy_desk import PolicyDesk
from steward.recorder import Recorder
from steward.rooms import Rooms
from steward.schema_desk import SchemaDesk
from steward.settings import Settings
from steward.telemetry import Telemetry
from steward.vault import Vault
from steward.work_home import WorkHome
from steward.work_store import WorkEngine
from steward.work_stores.sql import SqlWorkEngine
from steward.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Everything an entry point needs, open and ready."""

    settings: Settings
    clock: Clock
    ids: IdFactory
    vault: Vault
    database: Database
    directory: Directory
    authenticator: Authenticator
    sessions: Sessions
    engine: WorkEngine
    catalogue: ActionCatalogue
    policies: Policies
    policy_desk: PolicyDesk
    planner: Planner
    orchestrator: Orchestrator
    telemetry: Telemetry
    audit_log: AuditLog
    recorder: Recorder
    doors: Doors

    @property
    def schema(self) -> SchemaDesk:
        """Where the keys of jobs in Redis are moved."""
        return SchemaDesk.of(self.engine, self.recorder, self.clock)

    @property
    def evidence(self) -> EvidenceDesk:
        """Where the evidence of a plan is taken away."""
        archiver = Archiver(self.engine.dispatcher, self.audit_log, self.catalogue, self.recorder)
        return EvidenceDesk(self.audit_log, archiver, self.recorder)

    def worker(self, *, concurrency: int) -> Worker:
        """Return a worker on this application's work."""
        rooms = Rooms(
            dispatcher=self.engine.dispatcher,
            catalogue=self.catalogue,
            policies=self.policies,
            directory=self.directory,
            vault=self.vault,
            clock=self.clock,
            recorder=self.recorder,
            ids=self.ids,
            planner=self.planner,
        )
        return Worker(rooms, concurrency=concurrency)

    def duties(self) -> tuple[Duty, ...]:
        """Return what has to be done regularly by at least one process."""
        return (
            sweeper(self.engine.dispatcher, self.clock),
            pruner(self.engine.dispatcher, self.settings.job_retention_s, self.audit_log),
            archiver(self.engine.dispatcher, self.audit_log, self.catalogue, self.recorder),
            audit_pruner(self.audit_log, self.settings.audit_retention_days * 24 * 3600),
            door_keeper(self.doors),
        )


def build_model(settings: Settings, database: Database, clock: Clock, telemetry: Telemetry) -> LanguageModel | None:
    """Return the language model that AI_MODEL names, if any; its libraries are not loaded yet."""
    limits = [] if settings.ai_max_tokens_per_min is None else [tokens_per_minute(settings.ai_max_tokens_per_min)]
    if settings.ai_max_cost_per_day is not None:
        price = Price(settings.ai_price_read or Decimal(0), settings.ai_price_written or Decimal(0))
        limits.append(money_per_day(settings.ai_max_cost_per_day, price))
    budget = SqlModelBudget(database, clock, limits) if limits else NoBudget()
    return _model(settings, budget, telemetry.tokens_used)


def unasked_model(settings: Settings) -> LanguageModel | None:
    """Return the same for looking at what there would be, without a database: nobody asks it anything."""
    return _model(settings, NoBudget(), lambda _read, _written: None)


def _model(settings: Settings, budget: ModelBudget, count: TokenCount) -> LanguageModel | None:
    if settings.ai_model is None:
        return None
    provider, model = settings.ai_model
    return AnyProviderModel(
        ModelAddress(provider=provider, model=model, key=settings.ai_key or "", base_url=settings.ai_base_url),
        budget=budget,
        max_output_tokens=settings.ai_max_output_tokens,
        timeout_s=settings.ai_timeout_s,
        count=count,
    )


def build_catalogue(settings: Settings, clock: Clock, model: LanguageModel | None = None) -> ActionCatalogue:
    """Return every action of this installation: built in, of installed packages, and of STEWARD_ACTIONS."""
    catalogue = ActionCatalogue()
    built_in = builtin_actions(
        smtp_url=settings.smtp_url,
        smtp_from=settings.smtp_from,
        webhook_secrets=settings.webhook_secrets,
        http_allow_hosts=settings.http_allow_hosts,
        files_root=settings.home / "files",
        clock=clock,
        model=model,
    )
    for found in (*built_in, *load_entry_points(), *load_modules(settings.action_modules)):
        try:
            check_templates(found.definition)
        except ValueError as error:
            raise ConfigurationError(f"{error} (mend it, or leave its module out of STEWARD_ACTIONS)") from error
        catalogue.add(found)
    return catalogue


def build_authenticator(
    settings: Settings, keys: ApiKeyAuthenticator, directory: Directory, clock: Clock
) -> Authenticator:
    """Return what recognises this installation's credentials: API keys, and tokens if an issuer is set."""
    if settings.jwt_issuer is None:
        return keys
    from steward.authenticators.jwt import JwtAuthenticator, TokenRules  # noqa: PLC0415 - a tenth of a start
    from steward.authenticators.signing_keys import SharedSecret, key_set  # noqa: PLC0415

    if settings.jwt_secret is not None:
        signing, usual = SharedSecret(settings.jwt_secret), ("HS256",)
    else:
        signing, usual = key_set(settings.jwt_jwks or "", clock), ("RS256", "ES256")
    rules = TokenRules(
        issuer=settings.jwt_issuer,
        audiences=settings.jwt_audiences,
        algorithms=settings.jwt_algorithms or usual,
        skew_s=settings.jwt_skew_s,
    )
    return Chain(keys, JwtAuthenticator(rules, signing, directory, clock))


def build_telemetry(settings: Settings) -> Telemetry:
    """Return the counters, in a registry of their own."""
    return Telemetry(
        CollectorRegistry(),
        workspace_label=settings.metrics_workspace_label,
        allowlist=settings.metrics_workspace_allowlist,
    )


def _open_database(settings: Settings, vault: Vault, at_the_end: AsyncExitStack) -> tuple[Database, Bell]:
    """Return the database at this version's schema, and its bell; both are closed at the end."""
    settings.make_home()
    database = Database(settings.database_url)
    bell = bell_for(database, settings.home)
    at_the_end.callback(bell.close)
    at_the_end.push_async_callback(database.aclose)
    upgrade(database)
    refuse_a_stranger(database, vault)
    return database, bell


def _open_planner(model: LanguageModel | None, at_the_end: AsyncExitStack) -> tuple[LanguageModel | None, Planner]:
    """Return the model, which is closed at the end, and the planner that asks it; without one, the built-in planner."""
    if model is None:
        return None, SentencePlanner()
    at_the_end.push_async_callback(model.aclose)
    return model, ModelPlanner(model)


async def _archive(log: AuditLog, catalogue: ActionCatalogue, recorder: Recorder, engine: WorkEngine) -> int:
    """Take all events of an engine that work leaves into the audit."""
    return await Archiver(engine.dispatcher, log, catalogue, recorder).turn()


@asynccontextmanager
async def open_application(
    settings: Settings, *, clock: Clock | None = None, around_policies: Callable[[Policies], Policies] | None = None
) -> AsyncIterator[Application]:
    """Open everything, bring the database to this version's schema, and close it all again at the end.

    ``around_policies`` puts more rules around those of the settings; tests ask for approvals with it.

    Raises ``ConfigurationError`` for a setting that cannot be used, ``StoreUnavailable`` when the database is away.
    """
    clock = clock or SystemClock()
    ids, vault, telemetry = IdFactory(clock), Vault(settings.secret_keys), build_telemetry(settings)
    async with AsyncExitStack() as at_the_end:
        database, bell = _open_database(settings, vault, at_the_end)
        model, planner = _open_planner(build_model(settings, database, clock, telemetry), at_the_end)
        catalogue = build_catalogue(settings, clock, model)
        lists = ListPolicy(catalogue, settings.action_allowlist, settings.action_denylist)
        directory = SqlDirectory(database, clock, vault)
        audit_log = SqlAuditLog(database, vault, clock)
        recorder = Recorder(audit_log, telemetry, required=settings.audit_mode == "required")
        at_the_end.push_async_callback(recorder.aclose)
        archive = partial(_archive, audit_log, catalogue, recorder)
        home = WorkHome(settings, vault, clock, ids, archive, adopter(catalogue, vault), telemetry.job_read_path)
        in_database = SqlWorkEngine(database, bell, clock, (telemetry,))
        engine = await home.open(in_database, audit_log, (telemetry,), at_the_end)
        doors = Doors(recorder, clock)
        at_the_end.callback(doors.turn_the_minute, end=True)
        own_rules = CedarPolicies(lists, catalogue, directory)
        policies: Policies = own_rules if around_policies is None else around_policies(own_rules)
        keys = ApiKeyAuthenticator(directory, clock)
        yield Application(
            settings=settings,
            clock=clock,
            ids=ids,
            vault=vault,
            database=database,
            directory=directory,
            authenticator=build_authenticator(settings, keys, directory, clock),
            sessions=Sessions(keys, directory, clock),
            engine=engine,
            catalogue=catalogue,
            policies=policies,
            policy_desk=PolicyDesk(
                policies=policies, directory=directory, catalogue=catalogue, decisions=audit_log.decisions, clock=clock
            ),
            planner=planner,
            orchestrator=Orchestrator(
                engine=engine,
                catalogue=catalogue,
                planner=planner,
                policies=policies,
                vault=vault,
                clock=clock,
                ids=ids,
                recorder=recorder,
            ),
            telemetry=telemetry,
            audit_log=audit_log,
            recorder=recorder,
            doors=doors,
        )
