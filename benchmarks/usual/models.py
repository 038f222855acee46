"""Its tables."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Declarative base."""


class Delivery(Base):
    """A webhook that was taken in, with its answer."""

    __tablename__ = "usual_deliveries"

    webhook_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    received_at: Mapped[datetime]
    body_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    sealed_body: Mapped[bytes] = mapped_column(LargeBinary)
    answer: Mapped[str] = mapped_column(Text)


class Learner(Base):
    """A person, found by a keyed index of the id number."""

    __tablename__ = "usual_learners"

    id: Mapped[int] = mapped_column(primary_key=True)
    id_index: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    sealed_id_number: Mapped[bytes] = mapped_column(LargeBinary)


class Employment(Base):
    """A roster's row of an admitted enterprise."""

    __tablename__ = "usual_employments"

    id: Mapped[int] = mapped_column(primary_key=True)
    learner_id: Mapped[int] = mapped_column(ForeignKey("usual_learners.id"), index=True)
    uscc: Mapped[str] = mapped_column(String(18))
    start: Mapped[date]
    end: Mapped[date | None]
    category: Mapped[str] = mapped_column(String(32))


class Completion(Base):
    """A completion by its certificate's number."""

    __tablename__ = "usual_completions"

    number: Mapped[str] = mapped_column(String(128), primary_key=True)
    learner_id: Mapped[int] = mapped_column(ForeignKey("usual_learners.id"), index=True)
    webhook_id: Mapped[str] = mapped_column(String(128))
    sealed_name: Mapped[bytes] = mapped_column(LargeBinary)
    course: Mapped[str] = mapped_column(String(200))
    completed_at: Mapped[datetime]
    issued_at: Mapped[datetime]


class Decision(Base):
    """A decision with its reasons, and the signed record of it."""

    __tablename__ = "usual_decisions"

    id: Mapped[int] = mapped_column(primary_key=True)
    learner_id: Mapped[int] = mapped_column(ForeignKey("usual_learners.id"), index=True)
    state: Mapped[str] = mapped_column(String(16))
    reasons: Mapped[str] = mapped_column(Text)
    record: Mapped[str] = mapped_column(Text)
    decided_at: Mapped[datetime]


class Month(Base):
    """The one month of a person: the primary key keeps it one."""

    __tablename__ = "usual_months"

    learner_id: Mapped[int] = mapped_column(ForeignKey("usual_learners.id"), primary_key=True)
    decision_id: Mapped[int] = mapped_column(ForeignKey("usual_decisions.id"))
    uscc: Mapped[str] = mapped_column(String(18))
