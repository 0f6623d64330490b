"""Imports, wired: who receives their bodies, and the role that works them off."""

import shutil
from collections.abc import Callable
from functools import partial

from gateway.bootstrap.counting import CountedIngress
from gateway.bootstrap.ground import Ground, entropy
from gateway.catalog import Catalog
from gateway.imports.intake import Intake, Limits
from gateway.imports.worker import Importer
from gateway.ingress.accept import Ingress
from gateway.ingress.quotas import Quotas
from gateway.metrics import Metrics


def make_importer(
    ground: Ground,
    catalog: Catalog,
    ingress: Ingress,
    quotas: Quotas,
    *,
    metrics: Metrics,
    step: Callable[[str], None],
) -> Importer:
    """The role that works imports off."""
    settings = ground.settings
    return Importer(
        database=ground.database,
        catalog=catalog,
        ingress=CountedIngress(ingress=ingress, metrics=metrics, comes_again=True),
        quotas=quotas,
        clock=ground.clock,
        owner=quotas.owner,
        lease_ms=settings.lease.duration,
        kept_ms=settings.retention.imports,
        limits=_limits(ground).container(),
        step=step,
    )


def make_intake(ground: Ground, importer: Importer) -> Intake:
    """Who receives bodies, and tells the role of this process of them."""
    return Intake(
        database=ground.database,
        clock=ground.clock,
        entropy=entropy,
        limits=_limits(ground),
        step=importer.step,
        taken=importer.take_up,
    )


def _limits(ground: Ground) -> Limits:
    settings = ground.settings
    # A database on a server has a disk that nobody here sees; it says by itself when that is full.
    room = partial(_free_bytes, ground) if ground.database.is_sqlite else lambda: None
    return Limits(settings.ingress.import_bytes, settings.ingress.body_bytes, room=room)


def _free_bytes(ground: Ground) -> int | None:
    try:
        return shutil.disk_usage(ground.settings.data).free
    except OSError:
        return None
