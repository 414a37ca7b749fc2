"""A Hugging Face hub on loopback for tests, with the faults that real ones have.

Large files are redirected to a second port, as the real Hub does to its store: another origin, which must
never see the token.
"""
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse

LARGE = 100_000  # bytes from which a file is in large-file storage


def blob_hash(data):
    """The name the Hub gives to a file's bytes."""
    if len(data) >= LARGE:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repo:
    def __init__(self, files, gated=False, license="mit"):
        self.revisions = {}
        self.gated = gated
        self.license = license
        self.commit("main", files)

    def commit(self, branch, files):
        names = json.dumps(sorted((name, blob_hash(data)) for name, data in files.items()))
        sha = hashlib.sha1(names.encode()).hexdigest()
        self.revisions[branch] = self.revisions[sha] = (sha, files)
        return sha


class Hub:
    """`with Hub({"org/name": Repo({...})}) as hub`: hub.url, hub.log of (method, path, range, token, port)."""

    def __init__(self, repos=None):
        self.repos = repos or {}
        self.token = "hf_secret"
        self.log = []
        self.lock = threading.Lock()
        self.drop_after = None  # bytes of a large file, then the connection breaks
        self.drops = 10**9  # how often
        self.wrong = 0  # how many answers have a wrong byte
        self.refusals = []  # (status, headers) of the next answers to resolve requests
        self.ranges = True
        self.bytes_per_second = None
        self.served = 0  # bytes of large files
        self.listing = None  # instead of the true one
        self.listing_hashes = True
        self.redirect = None  # instead of the store's address
        self.missing = set()  # listed, but not there

    def __enter__(self):
        self.servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler(store)) for store in (False, True)]
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url, self.store_url = ("http://127.0.0.1:%d" % server.server_port for server in self.servers)
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def requests(self, words):
        return [entry for entry in self.log if words in entry["path"]]

    def handler(self, store):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                path = urllib.parse.unquote(self.path)
                with hub.lock:
                    hub.log.append({"method": self.command, "path": path, "range": self.headers.get("Range"),
                                    "token": self.headers.get("Authorization"), "store": store})
                try:
                    hub.answer(self, store, path)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def reply(self, status, data=b"", headers=None, length=None):
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, str(value))
                self.send_header("Content-Length", str(len(data) if length is None else length))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

        return Handler

    def answer(self, request, store, path):
        if store:
            repo, sha, name = re.fullmatch(r"/store/(.+?)/([0-9a-f]{40})/(.+?)(?:\?.*)?", path).groups()
            return self.send_file(request, self.repos[repo].revisions[sha][1][name], {"ETag": '"of-the-store"'})
        tree = re.fullmatch(r"/api/models/(.+?)/tree/([^?]+)(?:\?.*)?", path)
        if tree:  # what huggingface_hub asks as well
            return request.reply(200, self.tree(self.repos[tree.group(1)].revisions[tree.group(2)][1]),
                                 {"Content-Type": "application/json"})
        api = re.fullmatch(r"/api/models/(.+?)(?:/revision/(.+?))?(?:\?.*)?", path)
        resolve = re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path)
        match = api or resolve
        if not match or match.group(1) not in self.repos:
            return request.reply(401, headers={"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        repo = self.repos[match.group(1)]
        revision = match.group(2) or "main"
        if revision not in repo.revisions:
            return request.reply(404, headers={"X-Error-Code": "RevisionNotFound"})
        sha, files = repo.revisions[revision]
        if api:
            return request.reply(200, self.list(repo, sha, files, match.group(1)), {"Content-Type": "application/json"})
        if repo.gated and request.headers.get("Authorization") != "Bearer " + self.token:
            return request.reply(401, headers={"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        if self.refusals:
            status, headers = self.refusals.pop(0)
            return request.reply(status, headers=headers)
        name = match.group(3)
        if name not in files or name in self.missing:
            return request.reply(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": sha})
        data = files[name]
        headers = {"X-Repo-Commit": sha}
        if len(data) < LARGE:
            return self.send_file(request, data, {**headers, "ETag": f'"{blob_hash(data)}"'})
        location = self.redirect or f"{self.store_url}/store/{match.group(1)}/{sha}/{urllib.parse.quote(name)}?signed=1"
        return request.reply(302, headers={**headers, "X-Linked-ETag": f'"{blob_hash(data)}"', "X-Linked-Size": len(data),
                                           "Location": location})

    @staticmethod
    def tree(files):
        entries = []
        for path, data in sorted(files.items()):
            entries.append({"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(path.encode()).hexdigest()})
            if len(data) >= LARGE:
                entries[-1]["lfs"] = {"oid": blob_hash(data), "size": len(data), "pointerSize": 130}
        return json.dumps(entries).encode()

    def list(self, repo, sha, files, name):
        if self.listing is not None:
            return self.listing(sha) if callable(self.listing) else self.listing
        siblings = []
        for path, data in sorted(files.items()):
            entry = {"rfilename": path}
            if self.listing_hashes:
                entry.update(size=len(data), blobId=hashlib.sha1(path.encode()).hexdigest())
                if len(data) >= LARGE:
                    entry["lfs"] = {"sha256": blob_hash(data), "size": len(data), "pointerSize": 130}
                else:
                    entry["blobId"] = blob_hash(data)
            siblings.append(entry)
        return json.dumps({"id": name, "modelId": name, "sha": sha, "private": False, "gated": repo.gated, "tags": [],
                           "downloads": 0, "siblings": siblings, "cardData": {"license": repo.license},
                           "config": {"model_type": "whisper"}, "safetensors": {"parameters": {"F32": 1234567}, "total": 1234567}}).encode()

    def send_file(self, request, data, headers):
        large = len(data) >= LARGE
        asked = request.headers.get("Range") if self.ranges else None
        begin, end, status = 0, len(data), 200
        if asked:
            first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", asked).groups()
            begin, end, status = int(first), min(len(data), int(last) + 1 if last else len(data)), 206
            headers = {**headers, "Content-Range": f"bytes {begin}-{end - 1}/{len(data)}"}
        part = data[begin:end]
        with self.lock:
            if large and request.command == "GET" and self.wrong > 0:
                self.wrong -= 1
                part = bytes([part[0] ^ 1]) + part[1:]
        if not large or request.command == "HEAD":
            return request.reply(status, part, headers)
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(part)))
        request.end_headers()
        limit = len(part)
        with self.lock:
            if self.drop_after is not None and self.drops > 0 and limit > self.drop_after:
                limit = self.drop_after
                self.drops -= 1
        step = 65536
        for at in range(0, limit, step):
            request.wfile.write(part[at:min(at + step, limit)])
            with self.lock:
                self.served += min(step, limit - at)
            if self.bytes_per_second:
                time.sleep(step / self.bytes_per_second)
        if limit < len(part):
            request.close_connection = True
            request.connection.shutdown(2)
