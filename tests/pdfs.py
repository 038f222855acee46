"""Signed PDFs for tests, in two hands: pyHanko's, as another program writes them, and byte by byte.

What ``foreign`` and its kin return was made by a program that knows nothing of ours. ``Draft`` writes what no
decent program would, and signs it properly, so that a refusal is for the form and not for the signature.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12
from pyhanko.pdf_utils import generic as typed_generic
from pyhanko.pdf_utils import writer as typed_writer
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields as foreign_fields
from pyhanko.sign import signers, timestamps
from pyhanko.sign.validation.dss import DocumentSecurityStore

from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.sm2 import Sm2PrivateKey

# The foreign program's writer is typed in part only.
generic: Any = typed_generic
writer: Any = typed_writer

ISSUED = datetime(2021, 6, 1, 4, 0, tzinfo=UTC)
NAME = "古丽·买买提"
FIELDS: Mapping[str, str] = {"name": NAME, "id_number": "999901199001011234", "course": "Welding (1)"}


@dataclass(frozen=True)
class Signer:
    """Who signs.

    Attributes:
        key: the public key, as a register would hold it.
        chain: leaf, then root, DER.
        cms: makes a detached CMS over content.
        pkcs12: key and chain for the foreign program; empty for SM2, which it does not know.
    """

    key: VerificationKey
    chain: tuple[bytes, ...]
    cms: Callable[[bytes], bytes]
    pkcs12: bytes = b""


def _certificate(
    subject: str, public: object, issuer: str, key: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    assert isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    usage = x509.KeyUsage(not ca, not ca, *(False,) * 3, ca, ca, *(False,) * 2)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string(f"CN={subject}"))
        .issuer_name(x509.Name.from_rfc4514_string(f"CN={issuer}"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(ISSUED - timedelta(days=365))
        .not_valid_after(datetime.now(UTC) + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _signer(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, algorithm: Algorithm) -> Signer:
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = _certificate("Test root", root_key.public_key(), "Test root", root_key, ca=True)
    leaf = _certificate("Test signer", private.public_key(), "Test root", root_key, ca=False)

    def cms(content: bytes) -> bytes:
        options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
        builder = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(leaf, private, hashes.SHA256())
        return builder.add_certificate(root).sign(serialization.Encoding.DER, options)

    plain = serialization.NoEncryption()
    return Signer(
        VerificationKey("leaf", algorithm, private.public_key()),
        tuple(c.public_bytes(serialization.Encoding.DER) for c in (leaf, root)),
        cms,
        pkcs12.serialize_key_and_certificates(None, private, leaf, [root], plain),
    )


@cache
def p256() -> Signer:
    return _signer(ec.generate_private_key(ec.SECP256R1()), Algorithm.ES256)


@cache
def rsa_3072() -> Signer:
    return _signer(rsa.generate_private_key(65537, 3072), Algorithm.RS256)


# -- SM2, by hand: GM/T 0015 for the certificate, GM/T 0010 for the CMS


def tlv(tag: int, *parts: bytes) -> bytes:
    """One DER element."""
    content = b"".join(parts)
    count = len(content)
    size = count.to_bytes((count.bit_length() + 7) // 8)
    return bytes((tag,)) + (bytes((count,)) if count < 0x80 else bytes((0x80 | len(size),)) + size) + content


def oid(dotted: str) -> bytes:
    """An object identifier."""
    first, second, *rest = map(int, dotted.split("."))
    body = bytearray()
    for arc in (first * 40 + second, *rest):
        groups, left = [arc & 0x7F], arc >> 7
        while left:
            groups.append(left & 0x7F | 0x80)
            left >>= 7
        body += bytes(reversed(groups))
    return tlv(0x06, bytes(body))


SM3 = tlv(0x30, oid("1.2.156.10197.1.401"))
SM2_WITH_SM3 = tlv(0x30, oid("1.2.156.10197.1.501"))


def _common_name(text: str) -> bytes:
    return tlv(0x30, tlv(0x31, tlv(0x30, oid("2.5.4.3"), tlv(0x0C, text.encode()))))


def _time(moment: datetime) -> bytes:
    return tlv(0x17, f"{moment:%y%m%d%H%M%SZ}".encode())


def _sm2_certificate(subject: str, public: bytes, issuer: Sm2PrivateKey, *, ca: bool) -> bytes:
    constraints = tlv(0x30, *((tlv(0x01, b"\xff"),) if ca else ()))
    usage = tlv(0x03, b"\x01\x06" if ca else b"\x06\xc0")
    extensions = [
        tlv(0x30, oid(number), tlv(0x01, b"\xff"), tlv(0x04, value))
        for number, value in (("2.5.29.19", constraints), ("2.5.29.15", usage))
    ]
    tbs = tlv(
        0x30,
        tlv(0xA0, tlv(0x02, b"\2")),
        tlv(0x02, b"\7" if ca else b"\x08"),
        SM2_WITH_SM3,
        _common_name("SM2 root"),
        tlv(0x30, _time(ISSUED - timedelta(days=365)), _time(ISSUED + timedelta(days=3650))),
        _common_name(subject),
        public,
        tlv(0xA3, tlv(0x30, *extensions)),
    )
    return tlv(0x30, tbs, SM2_WITH_SM3, tlv(0x03, b"\0", issuer.sign(tbs)))


@cache
def sm2() -> Signer:
    root_key, key = Sm2PrivateKey.generate(), Sm2PrivateKey.generate()
    root = _sm2_certificate("SM2 root", root_key.public_key.spki(), root_key, ca=True)
    leaf = _sm2_certificate("SM2 signer", key.public_key.spki(), root_key, ca=False)

    def cms(content: bytes) -> bytes:
        signer_info = tlv(
            0x30,
            tlv(0x02, b"\1"),
            tlv(0x30, _common_name("SM2 root"), tlv(0x02, b"\x08")),
            SM3,
            tlv(0x30, oid("1.2.156.10197.1.301.1")),
            tlv(0x04, key.sign(content)),
        )
        data = tlv(0x30, oid("1.2.156.10197.6.1.4.2.1"))
        certificates = tlv(0xA0, leaf, root)
        signed = tlv(0x30, tlv(0x02, b"\1"), tlv(0x31, SM3), data, certificates, tlv(0x31, signer_info))
        return tlv(0x30, oid("1.2.156.10197.6.1.4.2.2"), tlv(0xA0, signed))

    return Signer(VerificationKey("leaf", Algorithm.SM2, key.public_key), (leaf, root), cms)


# -- by another program


def _name(text: str) -> Any:
    return generic.pdf_name(f"/{text}")


def unsigned(values: Mapping[str, str] = FIELDS, *, stream_xrefs: bool = True) -> bytes:
    """A page and a form, by pyHanko; with ``stream_xrefs`` the fields lie in an object stream."""
    out = writer.PdfFileWriter(stream_xrefs=stream_xrefs)
    packed = out.prepare_object_stream() if stream_xrefs else None
    content = out.add_object(generic.StreamObject(stream_data=b"BT ET"))
    page = out.insert_page(writer.PageObject(contents=content, media_box=(0, 0, 595, 842)))
    items = [
        out.add_object(
            generic.DictionaryObject(
                {
                    _name("FT"): _name("Tx"),
                    _name("T"): generic.pdf_string(name),
                    _name("V"): generic.pdf_string(value),
                    _name("Type"): _name("Annot"),
                    _name("Subtype"): _name("Widget"),
                    _name("P"): page,
                    _name("Rect"): generic.ArrayObject(map(generic.NumberObject, (10, 10, 90, 30))),
                }
            ),
            obj_stream=packed,
        )
        for name, value in values.items()
    ]
    page.get_object()[_name("Annots")] = generic.ArrayObject(items)
    out.root[_name("AcroForm")] = out.add_object(
        generic.DictionaryObject({_name("Fields"): generic.ArrayObject(items)}), obj_stream=packed
    )
    buffer = io.BytesIO()
    out.write(buffer)
    return buffer.getvalue()


def _simple(signer: Signer) -> signers.SimpleSigner:
    simple = signers.SimpleSigner.load_pkcs12_data(signer.pkcs12, [])
    assert isinstance(simple, signers.SimpleSigner)
    return simple


def sign(
    data: bytes,
    signer: Signer,
    *,
    name: str = "Signature1",
    subfilter: foreign_fields.SigSeedSubFilter = foreign_fields.SigSeedSubFilter.PADES,
    certify: bool = False,
) -> bytes:
    """Signs with pyHanko, as an incremental update."""
    meta = signers.PdfSignatureMetadata(
        field_name=name, subfilter=subfilter, certify=certify, md_algorithm="sha256"
    )
    out = signers.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(data)), meta, signer=_simple(signer))
    return bytes(out.getvalue())


def foreign(
    signer: Signer, values: Mapping[str, str] = FIELDS, *, stream_xrefs: bool = True, certify: bool = False
) -> bytes:
    """A certificate as another program makes and signs it."""
    return sign(unsigned(values, stream_xrefs=stream_xrefs), signer, certify=certify)


def update(data: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    """Appends a change with pyHanko."""
    out: Any = IncrementalPdfFileWriter(io.BytesIO(data))
    change(out)
    buffer = io.BytesIO()
    out.write(buffer)
    return buffer.getvalue()


def archived(data: bytes) -> bytes:
    """Appends validation data, and then a document timestamp."""
    simple = _simple(rsa_3072())

    def add(out: IncrementalPdfFileWriter) -> None:
        certificates = list(simple.cert_registry)
        DocumentSecurityStore.supply_dss_in_writer(out, None, certs=certificates)

    assert simple.signing_cert is not None
    stamper = timestamps.DummyTimeStamper(simple.signing_cert, simple.signing_key)
    out = IncrementalPdfFileWriter(io.BytesIO(update(data, add)))
    stamped = signers.PdfTimeStamper(stamper).timestamp_pdf(out, "sha256")
    return bytes(stamped.getvalue())


# -- byte by byte

PLACEHOLDER = b"/ByteRange [0 0000000000 0000000000 0000000000]/Contents <" + b"0" * 8192 + b">"
TEXT_FIELD = b"<</FT/Tx/T(name)/V(A)>>"


def stream(entries: bytes, data: bytes) -> bytes:
    """The body of a stream object."""
    return b"<<%b/Length %d>>stream\n%b\nendstream" % (entries, len(data), data)


def deflated(data: bytes) -> tuple[bytes, bytes]:
    """Entries and data of a deflated stream."""
    return b"/Filter/FlateDecode", zlib.compress(data)


Row: TypeAlias = tuple[int, int, int, int]


def rows_of_seven_bytes(rows: list[Row]) -> tuple[bytes, bytes]:
    """Entries and data of a cross-reference stream, from number, kind, and two values."""
    index = b" ".join(b"%d 1" % number for number, _, _, _ in rows)
    data = b"".join(kind.to_bytes(1) + a.to_bytes(4) + b.to_bytes(2) for _, kind, a, b in rows)
    entries, coded = deflated(data)
    return b"/W[1 4 2]/Index[%b]%b" % (index, entries), coded


@dataclass
class Draft:
    """A file as it is to be written, before it is signed; object 5 is the signature.

    Attributes:
        objects: bodies by number.
        packed: those that go into an object stream, which takes a cross-reference stream to find it.
        trailer: more entries of the trailer.
        head: what comes before the objects.
        tail: what comes after ``%%EOF``.
        pack: entries and data of the object stream.
        rows: entries and data of the cross-reference stream.
    """

    objects: dict[int, bytes] = field(
        default_factory=lambda: {
            1: b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[4 0 R 6 0 R]>>>>",
            2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Annots[4 0 R 6 0 R]>>",
            4: b"<</FT/Sig/T(Signature1)/V 5 0 R/Subtype/Widget/Rect[0 0 0 0]>>",
            5: b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/adbe.pkcs7.detached" + PLACEHOLDER + b">>",
            6: TEXT_FIELD,
        }
    )
    packed: dict[int, bytes] = field(default_factory=dict)
    trailer: bytes = b""
    head: bytes = b"%PDF-1.7\n"
    tail: bytes = b""
    pack: Callable[[bytes], tuple[bytes, bytes]] = deflated
    rows: Callable[[list[Row]], tuple[bytes, bytes]] = rows_of_seven_bytes

    def replace(self, number: int, old: bytes, new: bytes) -> Draft:
        """Changes one object; the old bytes must be there."""
        assert old in self.objects[number]
        self.objects[number] = self.objects[number].replace(old, new)
        return self

    def write(self) -> bytes:
        """The file with an empty signature."""
        out, offsets = bytearray(self.head), dict[int, int]()
        objects = {**self.objects, **self._container()}
        for number, body in objects.items():
            offsets[number] = len(out)
            out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
        start = len(out)
        out += self._stream_section(offsets, start) if self.packed else self._table(offsets)
        return bytes(out + b"startxref\n%d\n%%%%EOF\n" % start + self.tail)

    def _table(self, offsets: Mapping[int, int]) -> bytes:
        entries = b"".join(b"%d 1\n%010d 00000 n \n" % item for item in offsets.items())
        trailer = b"<</Size %d/Root 1 0 R%b>>" % (max(offsets) + 1, self.trailer)
        return b"xref\n0 1\n0000000000 65535 f \n%btrailer\n%b\n" % (entries, trailer)

    def _container(self) -> dict[int, bytes]:
        if not self.packed:
            return {}
        directory, data = b"", b""
        for number, body in self.packed.items():
            directory += b"%d %d " % (number, len(data))
            data += body + b" "
        entries, coded = self.pack(directory + data)
        head = b"/Type/ObjStm/N %d/First %d%b" % (len(self.packed), len(directory), entries)
        return {self.container: stream(head, coded)}

    @property
    def container(self) -> int:
        """The number of the object stream; the next is that of the cross-reference stream."""
        return max({*self.objects, *self.packed}) + 1

    def _stream_section(self, offsets: Mapping[int, int], start: int) -> bytes:
        plain = [(number, 1, offset, 0) for number, offset in {**offsets, self.container + 1: start}.items()]
        packed = [(number, 2, self.container, index) for index, number in enumerate(self.packed)]
        entries, data = self.rows(plain + packed)
        head = b"/Type/XRef/Size %d/Root 1 0 R%b%b" % (self.container + 2, self.trailer, entries)
        return b"%d 0 obj\n%b\nendobj\n" % (self.container + 1, stream(head, data))

    def sign(self, signer: Signer | None = None) -> bytes:
        """The file, signed."""
        return fill(self.write(), signer or p256())


def fill(data: bytes, signer: Signer, numbers: tuple[int, int, int, int] | None = None) -> bytes:
    """Fills in the placeholder: the ByteRange (the right one, or ``numbers``), then the signature."""
    gap = data.index(b"/Contents <0000") + len(b"/Contents ")
    resume = data.index(b">", gap) + 1
    numbers = numbers or (0, gap, resume, len(data) - resume)
    first = data.index(b"/ByteRange [0 0000000000")
    entry = b"/ByteRange [%d %010d %010d %010d]" % numbers
    data = data[:first] + entry + data[first + len(entry) :]
    start, before, after, rest = numbers
    cms = signer.cms(data[start : start + before] + data[after : after + rest]).hex().encode()
    return data[: gap + 1] + cms + data[gap + 1 + len(cms) :]
