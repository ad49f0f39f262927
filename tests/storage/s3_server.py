"""A small object store that speaks as much of S3 as the driver needs, and takes nothing on trust.

Each request is refused unless its signature (version 4) is right by this second implementation, made from Amazon's
description with the standard library alone, and its body has the SHA-256 that was signed.
"""
import datetime
import hashlib
import hmac
import http.server
import re
import threading
import urllib.parse

ACCESS, SECRET, REGION, BUCKET = "AKIDTEST", "secret/with+odd=characters", "eu-test-1", "images"


def quote(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-_.~")


def signature(method, path, query, headers, signed, payload, stamp):
    pairs = sorted((quote(k), quote(v)) for k, v in urllib.parse.parse_qsl(query, keep_blank_values=True))
    canonical = "\n".join([
        method, path, "&".join(f"{k}={v}" for k, v in pairs),
        "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in signed), ";".join(signed), payload])
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + SECRET).encode()
    for part in (stamp[:8], REGION, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Refused(Exception):
    pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code, message=""):
        self.answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode(),
                    Content_Type="application/xml")

    def check(self, body):
        """Raise unless the request is signed, by us, now, with this body."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?"
                             r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})", headers.get("authorization", ""))
        if not match:
            raise Refused("AuthorizationHeaderMalformed")
        access, day, region, signed, given = match.groups()
        signed = signed.split(";")
        stamp = headers.get("x-amz-date", "")
        if access != ACCESS:
            raise Refused("InvalidAccessKeyId")
        if region != REGION or not re.fullmatch(r"\d{8}T\d{6}Z", stamp) or stamp[:8] != day:
            raise Refused("AuthorizationHeaderMalformed")
        when = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        if abs((datetime.datetime.now(datetime.timezone.utc) - when).total_seconds()) > 900:
            raise Refused("RequestTimeTooSkewed")
        must = {"host", "x-amz-date"} | {name for name in headers if name.startswith("x-amz-")}
        if signed != sorted(signed) or not must <= set(signed):
            raise Refused("SignatureDoesNotMatch: unsigned " + ",".join(must - set(signed)))
        payload = headers.get("x-amz-content-sha256", "")
        path, _, query = self.path.partition("?")
        if not hmac.compare_digest(signature(self.command, path, query, headers, signed, payload, stamp), given):
            raise Refused("SignatureDoesNotMatch")
        if hashlib.sha256(body).hexdigest() != payload:
            raise Refused("XAmzContentSHA256Mismatch")

    def handle_request(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        store = self.server.store
        try:
            self.check(body)
        except Refused as error:
            self.server.refused.append(str(error))
            return self.refuse(403, str(error).split(":")[0], str(error))
        path, _, query = self.path.partition("?")
        options = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        bucket, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
        if bucket != BUCKET:
            return self.refuse(404, "NoSuchBucket")
        with self.server.lock:
            return getattr(self, "on_" + self.command.lower())(store, key, options, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request

    @staticmethod
    def tag(data):
        return '"' + hashlib.md5(data).hexdigest() + '"'

    def on_head(self, store, key, options, body):
        if key not in store:
            return self.answer(404)
        return self.answer(200, Content_Length=str(len(store[key])), ETag=self.tag(store[key]))

    def on_get(self, store, key, options, body):
        if "list-type" in options:
            return self.list(store, options)
        if key not in store:
            return self.refuse(404, "NoSuchKey")
        data, size = store[key], len(store[key])
        if self.headers.get("If-Match", self.tag(data)) != self.tag(data):
            return self.refuse(412, "PreconditionFailed")
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match:
            return self.answer(200, data, ETag=self.tag(data))
        first, last = int(match[1]), int(match[2] or size)
        if first >= size:
            return self.answer(416, Content_Range=f"bytes */{size}")
        part = data[first:last + 1]
        return self.answer(206, part, ETag=self.tag(data), Content_Range=f"bytes {first}-{first + len(part) - 1}/{size}")

    def list(self, store, options):
        prefix, start = options.get("prefix", ""), options.get("continuation-token", "")
        rows, seen, most = [], set(), min(int(options.get("max-keys", 1000)), 3)  # small pages, so that there are many
        for key in sorted(store):
            if not key.startswith(prefix):
                continue
            rest = key[len(prefix):]
            name = prefix + rest.split("/")[0] + "/" if "/" in rest else key
            if name not in seen and name > start:
                seen.add(name)
                rows.append((name, None if "/" in rest else len(store[key])))
        more = len(rows) > most
        rows = rows[:most]
        out = [f"<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Prefix>{quote(prefix)}</Prefix>"]
        for name, size in rows:
            if size is None:
                out.append(f"<CommonPrefixes><Prefix>{quote(name)}</Prefix></CommonPrefixes>")
            else:
                out.append(f"<Contents><Key>{quote(name)}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
                           f"<Size>{size}</Size></Contents>")
        if more:
            out.append(f"<NextContinuationToken>{rows[-1][0].replace('&', '&amp;')}</NextContinuationToken>")
        return self.answer(200, ("<?xml version='1.0'?>" + "".join(out) + "</ListBucketResult>").encode())

    def on_put(self, store, key, options, body):
        if "uploadId" in options:
            parts = self.server.uploads.get(options["uploadId"])
            if parts is None:
                return self.refuse(404, "NoSuchUpload")
            parts[int(options["partNumber"])] = body
            return self.answer(200, ETag=self.tag(body))
        if self.headers.get("If-None-Match") == "*" and key in store:
            return self.refuse(412, "PreconditionFailed")
        source = self.headers.get("x-amz-copy-source")
        if source:
            source = urllib.parse.unquote(source).lstrip("/").partition("/")[2]
            if source not in store:
                return self.refuse(404, "NoSuchKey")
            store[key] = store[source]
            return self.answer(200, b"<CopyObjectResult/>")
        store[key] = body
        return self.answer(200, ETag=self.tag(body))

    def on_post(self, store, key, options, body):
        if "uploads" in options:
            name = f"up/{len(self.server.uploads)}+x="
            self.server.uploads[name] = {}
            return self.answer(200, f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId>"
                                    f"</InitiateMultipartUploadResult>".encode())
        parts = self.server.uploads.get(options.get("uploadId"))
        if parts is None:
            return self.refuse(404, "NoSuchUpload")
        if self.headers.get("If-None-Match") == "*" and key in store:
            return self.refuse(412, "PreconditionFailed")
        named = re.findall(r"<PartNumber>(\d+)</PartNumber><ETag>(?:&quot;|\")?([0-9a-f]+)", body.decode())
        if [int(n) for n, _ in named] != sorted(parts) or any(self.tag(parts[int(n)]) != f'"{t}"' for n, t in named):
            return self.refuse(400, "InvalidPart")
        if any(len(parts[n]) < 5 << 20 for n in sorted(parts)[:-1]):
            return self.refuse(400, "EntityTooSmall")
        store[key] = b"".join(parts[n] for n in sorted(parts))
        del self.server.uploads[options["uploadId"]]
        return self.answer(200, b"<CompleteMultipartUploadResult/>")

    def on_delete(self, store, key, options, body):
        if "uploadId" in options:
            self.server.uploads.pop(options["uploadId"], None)
        else:
            store.pop(key, None)
        return self.answer(204)


def start():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a client that breaks off is none
    server.store, server.uploads, server.refused, server.lock = {}, {}, [], threading.Lock()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
