"""审计包独立核验脚本，不含本系统任何代码。 Checks an audit pack without any code of the service.

Trust comes from outside the pack: the ledger's key, fingerprints of the record and status keys, an earlier
checkpoint or a witness. Checked are members, checkpoint, entries, rows; records (key, entry, status, pins,
disclosures, certificate); claims (on a current grant, none twice, called back when it fell).
Exit status: 0 no finding, 1 findings, 2 could not run, or nothing was given from outside.
"""

from __future__ import annotations

import argparse
import json
import tomllib
import zipfile
import zlib
from base64 import b64decode, urlsafe_b64decode
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import cache, reduce
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, utils

Json = dict[Any, Any]
BROKEN: Final = (ValueError, TypeError, AttributeError, ArithmeticError, LookupError, RuntimeError, OSError,
 ImportError, zlib.error, zipfile.BadZipFile, UnsupportedAlgorithm, InvalidTag, InvalidSignature)  # fmt: skip
STEPS: Final = {"release": {"claimed", "owed"}, "paid": {"claimed"}, "returned": {"paid", "owed"}}
TYPES: Final = {"record": "dc+sd-jwt", "outcome": "objection-outcome+jwt", "status": "statuslist+jwt"}
CHECKED, IDS = {"jws", "xapi"}, {"fact_id", "decision_id", "claim_id", "step"}
SHA256, SHORT = hashes.SHA256(), (",", ":")
HOW: Final[Json] = {"ES256": (ec.ECDSA(SHA256),), "EdDSA": (), "RS256": (padding.PKCS1v15(), SHA256),
                     "PS256": (padding.PSS(padding.MGF1(SHA256), 32), SHA256)}  # fmt: skip


def _roots(leaves: Iterable[bytes], *sizes: int) -> dict[int, bytes]:  # RFC 6962, by number of leaves
    edge, found = list[bytes](), {0: sha256(b"").digest()}
    for place, leaf in enumerate(leaves):
        index, current = place, leaf
        while index & 1:
            index, current = index >> 1, sha256(b"\x01" + edge.pop() + current).digest()
        edge.append(current)
        if place + 1 in sizes:
            found[place + 1] = reduce(lambda right, left: sha256(b"\x01" + left + right).digest(), edge[::-1])
    return found


def _note(note: bytes, vkeys: Iterable[str]) -> tuple[str, int, bytes, set[str]]:
    text, _, lines = note.decode().rpartition("\n\n")  # a checkpoint: origin, size, root; by which keys
    signed, known = set[str](), {tuple(vkey.split("+")[:2]): vkey for vkey in vkeys}
    for name, _, encoded in (line[2:].partition(" ") for line in lines.splitlines()):
        found = b64decode(encoded)
        if vkey := known.get((name, found[:4].hex())):
            kind, *public = b64decode(vkey.split("+", 2)[2])
            timed = f"cosignature/v1\ntime {int.from_bytes(found[4:12])}\n"  # C2SP tlog-cosignature
            start, before = (4, "") if kind == 1 else (12, timed)
            key = ed25519.Ed25519PublicKey.from_public_bytes(bytes(public))
            key.verify(found[start:], f"{before}{text}\n".encode())
            signed.add(vkey)
    origin, size, root = text.split("\n")[:3]
    return origin, int(size), b64decode(root), signed


def _part(token: str, place: int) -> Any:
    return json.loads(urlsafe_b64decode(token.split(".")[place] + "=="))


def _jws(token: str, key: Any) -> Any:  # a compact JWS's payload; another algorithm than the key's raises
    signed, _, encoded = token.rpartition(".")
    raw, algorithm = urlsafe_b64decode(encoded + "=="), _part(token, 0)["alg"]
    if algorithm == "ES256":
        raw = utils.encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    key.verify(raw, signed.encode(), *HOW[algorithm])
    return _part(token, 1)


@cache
def _issuer_key(register: bytes, issuer: str, kid: str) -> Any:  # of an adopted register: lengths and parts
    end = 8 + int.from_bytes(register[:8])
    said = tomllib.loads(register[8:end].decode())["issuer"]
    files = {(one["id"], key["kid"]): key["file"] for one in said for key in one.get("key", ())}
    file = files[issuer, kid].encode()
    after = register[end:].partition(len(file).to_bytes(8) + file)[2]
    return serialization.load_pem_public_key(after[8 : 8 + int.from_bytes(after[:8])])


class _Check:  # one pack, and what was found in it
    def __init__(self, pack: zipfile.ZipFile, trust: argparse.Namespace) -> None:
        self.pack, self.trust, self.said, self.signed = pack, trust, Json(), Json()
        self.leaves, self.origin, self.told = list[bytes](), "", Json()
        self.counts, self.findings = defaultdict[str, Counter[str]](Counter), list[tuple[str, str]]()
        self.rows, self.kept = defaultdict[str, Json](Json), defaultdict[str, Json](Json)
        self.keys, self.adopted, self.lists, self.after, self.under, self.was = (Json() for _ in range(6))
        self.entries, self.month, self.newest, self.held, self.state, self.owed = (Json() for _ in range(6))
        for step in (self._members, self._tree, self._entries, self._lines, self._whole):
            self._try(step.__name__[1:], step)  # what breaks one is a finding, and the others still run

    def _expect(self, holds: object, kind: str, where: object) -> bool:
        self.findings += [] if holds else [(kind, str(where))]  # a stable word and a place, never a value
        return bool(holds)

    def _try(self, where: object, step: Callable[..., None], *given: Any) -> None:
        try:
            step(*given)
        except BROKEN as error:
            kind = "signature_invalid" if isinstance(error, InvalidSignature) else "malformed"
            self._expect(None, kind, f"{where} ({type(error).__name__})")

    def _members(self) -> None:
        self.said, names = json.loads(self.pack.read("manifest.json")), self.pack.namelist()
        self._expect(len(names) == len({*names}), "member_twice", "manifest.json")
        self.keys = json.loads(self.pack.read("keys.json"))
        for name in sorted({*names, *self.said["members"]} - {"manifest.json"}):
            digest = sha256(self.pack.read(name)).hexdigest() if name in names else ""
            self._expect(digest == self.said["members"].get(name), "member_altered", name)
            self.adopted |= {digest: name} if name.startswith("adopted/") else {}

    def _tree(self) -> None:
        blobs = [self.pack.read("checkpoint.txt"), *(path.read_bytes() for path in self.trust.checkpoint)]
        notes = [_note(blob, [*self.trust.ledger_key, *self.trust.witness]) for blob in blobs]
        data, self.origin, newest = self.pack.read("leaves.bin"), notes[0][0], notes[0][1]
        self.leaves = [data[start : start + 32] for start in range(0, len(data), 32)]
        roots, by = _roots(self.leaves, *(note[1] for note in notes)), {*chain(*(note[3] for note in notes))}
        self._expect(newest == len(self.leaves), "leaf_hashes_missing", len(self.leaves))
        self._expect(notes[0][3] & {*self.trust.ledger_key}, "checkpoint_not_signed", newest)
        self._expect(by & {*self.trust.witness} or not self.trust.witness, "not_witnessed", newest)
        for origin, size, root, who in notes:
            self._expect(who and (origin, root) == (self.origin, roots.get(size)), "checkpoint_differs", size)

    def _entries(self) -> None:
        for raw in map(bytes.rstrip, self.pack.open("entries.ndjson")):
            entry, leaf = json.loads(raw), sha256(b"\x00" + raw).digest()
            if self._expect(self.leaves[entry["index"]] == leaf, "entry_altered", entry["index"]):
                self.entries[entry["index"]] = entry
                self.after |= {entry["supersedes"]: entry["result"]} if entry["kind"] == "record" else {}
        adopted = {entry["digest"] for entry in self.entries.values() if entry["kind"] == "adoption"}
        for digest, name in self.adopted.items():
            self._expect(digest in adopted, "adoption_not_in_ledger", name)
        first, last = self.said["first"], self.said["last"]
        self._expect(0 <= first <= last < len(self.leaves), "range_invalid", last)
        for index in sorted({*range(first, min(last + 1, len(self.leaves)))} - self.entries.keys()):
            self._expect(self.said["narrowed"], "entry_missing", index)
            self.counts["not_checked"]["entry_as_hash_alone"] += 1

    def _lines(self) -> None:
        members = (self.pack.open("evidence.ndjson"), self._unsealed(), self.pack.open("signed.ndjson"))
        for n, line in enumerate(map(json.loads, chain(*members))):
            kind, step = line["is"], {"root": self._root, "row": self._row}.get(line["is"])
            self.counts["checked"][kind] += 1
            if step or kind in TYPES:
                self._try(f"{kind} {n}", step or self._token, line)
            else:
                self.kept[kind][line["id"]] = line

    def _unsealed(self) -> Iterator[bytes]:
        for name in sorted(name for name in self.said["members"] if name.startswith("sealed/")):
            self.counts["not_checked"]["encrypted_member"] += not self.trust.key
            if self.trust.key:
                info = f"{self.said['format']}\n{self.said['pack']}\n{name}\n".encode()
                yield from self.trust.suite.decrypt(self.pack.read(name), self.trust.key, info).splitlines()

    def _root(self, line: Json) -> None:
        digests, entry = sorted(map(bytes.fromhex, line["digests"])), self.entries[line["at"]]
        leaves = [sha256(b"\x00" + digest).digest() for digest in digests]
        root = _roots(leaves, len(leaves))[len(leaves)].hex()
        entry["holds"] = (root, len(digests)) == (entry["root"], entry["count"])
        self.under |= dict.fromkeys(line["digests"], line["at"]) if entry["holds"] else {}

    def _row(self, line: Json) -> None:
        row, table = line["row"], line["table"]  # canonical (RFC 8785): ASCII names, no fractions
        said = json.dumps({"row": row, "table": table}, ensure_ascii=False, sort_keys=True, separators=SHORT)
        digest = sha256(bytes.fromhex(line["salt"]) + said.encode()).hexdigest()
        if self._expect(self.under.pop(digest, None) is not None, "row_altered", f"{table} {digest[:16]}"):
            self.rows[table]["/".join(row[name] for name in row if name in IDS) or digest] = row

    def _token(self, line: Json) -> None:
        token, header, kind = line["jws"], _part(line["jws"], 0), line["is"]
        der, signed = b64decode(self.keys[header["kid"]]), token.rpartition(".")[0]
        trusted = sha256(der).hexdigest() in self.trust.record_key and header["typ"] == TYPES[kind]
        if not self._expect(trusted, "key_not_trusted", f"{kind} {header['kid']}"):
            return
        said, digest = _jws(token, serialization.load_der_public_key(der)), sha256(signed.encode())
        if kind == "status":
            packed = urlsafe_b64decode(said["status_list"]["lst"] + "==")
            packed = zlib.decompressobj().decompress(packed, 1 << 24)
            self.lists[said["sub"]] = said["status_list"]["bits"], packed
            return
        entry, bound = self.entries[said["log"]["index"]], (digest.hexdigest(), said["log"]["origin"])
        if self._expect((entry["signing_input_sha256"], self.origin) == bound, "not_in_ledger", said["jti"]):
            self.signed[entry["index"]] = said
            if kind == "record":
                self._record(said["jti"], entry, said, said["decision"], said["status"]["status_list"])

    def _record(self, where: str, entry: Json, said: Json, decision: Json, place: Json) -> None:
        bits, packed = self.lists[place["uri"]]
        status = packed[place["idx"] * bits // 8] >> (place["idx"] * bits % 8) & ((1 << bits) - 1)
        expected = {"": 0, "revoked": 1}.get(self.after.get(where, ""), 3)
        self._expect(status == expected, "status_disagrees", where)
        trace = json.loads(self.rows["decisions"][decision["id"]]["trace"])
        pins, told = trace["pins"], {"record": where, "decision": decision["id"], "month": decision["month"]}
        self._expect(told.items() <= entry.items() and pins == said["policy"], "record_disagrees", where)
        self._expect({pins["parameters"], pins["register"]} <= self.adopted.keys(), "pins_not_adopted", where)
        self.month[where], self.told[where] = (trace["learner_id"], trace["entitlement"]), told
        if self.trust.key:
            self._personal(where, said, trace)

    def _personal(self, where: str, said: Json, trace: Json) -> None:
        facts, encoded = self.rows["facts"], self.kept["disclosures"][where]["disclosures"] or []
        self._expect({*trace["facts"]} <= facts.keys(), "fact_missing", where)
        signed = {urlsafe_b64decode(digest + "==") for digest in said.get("_sd", [])}
        same = {sha256(text.encode()).digest() for text in encoded} == signed
        self._expect(same or not encoded, "disclosure_altered", where)
        if not trace["candidate"]:
            return
        fact = json.loads(facts[trace["candidate"]["completion"]]["content"])
        found = self.kept["certificate"][fact["fact_id"]]
        kind = found.get("missing") or (found["kind"] if encoded else "of_somebody_erased")
        self.counts["checked" if kind in CHECKED else "not_checked"][f"certificate {kind}"] += 1
        if kind in CHECKED:
            register = self.pack.read(self.adopted[trace["pins"]["register"]])
            claims = _jws(found["jws"], _issuer_key(register, fact["issuer"], _part(found["jws"], 0)["kid"]))
            told = [reduce(lambda value, key: value[key], path, claims) for path in found["places"]]
            shown, at = dict(_part(text, 0)[1:] for text in encoded), told[4]
            same = told[:3] == [fact["issuer"], fact["number"], shown["name"]]
            own = told[3].upper() == shown["id_number"] or len(told[3]) != len(shown["id_number"])
            own = own or fact["learner_id"] != trace["learner_id"]  # merged, or a number that is rewritten
            day = datetime.fromtimestamp(at, UTC) if isinstance(at, int) else datetime.fromisoformat(at)
            same = same and own and day == datetime.fromisoformat(fact["completed_at"])
            self._expect(same, "certificate_disagrees", where)

    def _whole(self) -> None:
        within = range(self.said["first"], 0 if self.said["narrowed"] else self.said["last"] + 1)
        for digest, index in self.under.items() if self.trust.key else ():
            self._expect(index not in within, "row_missing", f"{index} {digest[:16]}")
        for index, entry in sorted(self.entries.items()):
            self._expect(entry.get("holds", entry["kind"] != "evidence"), "evidence_altered", index)
            signed = "signing_input_sha256" not in entry or index in self.signed or index not in within
            self._expect(signed, "record_missing", index)
            if entry["kind"] in {"record", "claim", "clawback"}:
                self._try(index, self._step, entry["kind"], entry["record"], entry.get("claim"), entry)
        for claim in self.owed.keys() - {None}:
            self._expect(None, "clawback_missing", claim)

    def _step(self, kind: str, record: str, claim: str, entry: Json) -> None:
        month = self.month.setdefault(record, self.month.get(entry.get("supersedes"), record))
        if kind == "record":
            self.newest[month] = record, entry["result"]
            self.owed |= {self.held.get(month): record} if entry["result"] == "revoked" else {}
        elif kind == "clawback":
            self.owed.pop(claim, None)
            now = self.was.get(claim) if entry.get("withdrawn") else "owed"
            self.state[claim], self.was[claim] = now, self.state.get(claim)
        elif entry["step"] == "claim":
            self._expect(self.newest.get(month) == (record, "granted"), "claim_on_no_current_grant", claim)
            self._expect(month not in self.held, "month_claimed_twice", claim)
            self.held[month], self.state[claim] = claim, "claimed"
            if self.trust.key:
                row, paid = self.rows["claims"][f"{claim}/claim"], self.kept["payment"][claim]
                told = self.told[record] | {"payment_reference": row["payment_reference"]}
                same = told.items() <= paid.items() and row["record_id"] == record
                self._expect(same, "payment_disagrees", claim)
                self.counts["rosters_as_stated"].update(self.kept["cross_match"][record]["words"])
        elif self._expect(self.state.get(claim) in STEPS[entry["step"]], "claim_step_refused", claim):
            self.state[claim] = entry["step"]
            self.held.pop(None if entry["step"] == "paid" else month, None)


def main() -> int:
    """Check one pack, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pack", type=Path)
    for name, form in (("ledger-key", str), ("record-key", str), ("checkpoint", Path), ("witness", str)):
        parser.add_argument(f"--{name}", action="append", default=[], type=form, help="repeatable")
    parser.add_argument("--private-key", dest="key", type=Path, help="the auditor's, for the encrypted part")
    parser.add_argument("--json", action="store_true", help="in one line")
    given = parser.parse_args()
    if not (given.ledger_key and given.record_key and (given.checkpoint or given.witness)):
        parser.error("needed from outside the pack: ledger-key, record-key, and checkpoint or witness")
    try:
        if given.key:
            from cryptography.hazmat.primitives import hpke  # noqa: PLC0415 - an old cryptography has none

            given.suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
            given.key = serialization.load_pem_private_key(given.key.read_bytes(), None)
        check = _Check(zipfile.ZipFile(given.pack), given)
    except BROKEN as error:
        parser.error(f"a file or a module cannot be read: {type(error).__name__}")
    told = {name: check.said.get(name) for name in ("origin", "size", "first", "last", "narrowed")}
    told |= check.counts | {"findings": [{"kind": kind, "where": where} for kind, where in check.findings]}
    print(json.dumps(told, ensure_ascii=False, indent=None if given.json else 1))
    return 1 if check.findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
