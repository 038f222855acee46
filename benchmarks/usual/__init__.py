"""What somebody would write instead: FastAPI, the SQLAlchemy ORM, PyJWT, one commit a request.

Written as a competent engineer would with the tutorials of these packages at hand, and held to the same
checks and the same durability: the webhook's signature and time, one effect a delivery, the certificate's
signature and claims, the id number's check digit, one learner a number by a keyed index, sealed personal
columns, the employer by the roster, one month a person by a primary key, a decision with its reasons, a
signed record. What it does not have is what nobody would write at first: a ledger, evidence, reviews,
policies by date, replay, group commit.

It is compared with, and never run as a service.
"""
