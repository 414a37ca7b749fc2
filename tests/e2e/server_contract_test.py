"""What OpenAI's contract promises beyond the happy path: translations, voices, CORS, limits, memory, names."""
import concurrent.futures
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import openai
import pytest

from program import PROGRAM
from server_program import get, serving

TEXT = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def server():
    with serving("--allowed-origins", "https://app.example", "--queue", "2") as s:
        yield s


@pytest.fixture(scope="module")
def client(server):
    return server.client()


@pytest.fixture(scope="module")
def spanish(client):
    return client.audio.speech.create(model="kokoro", voice="ef_dora", input="Buenos días. Me gusta mucho el café con leche.",
                                      response_format="wav", extra_body={"language": "es", "seed": 1}).content


def test_translations(client, spanish):
    text = client.audio.translations.create(model="whisper-base", file=("a.wav", spanish)).text.lower()
    assert "coffee" in text and "milk" in text, text
    verbose = client.audio.translations.create(model="whisper-base", file=("a.wav", spanish), response_format="verbose_json")
    assert verbose.language == "english" and verbose.segments


def test_languages_are_what_detection_chooses_among(client, spanish):
    def heard(languages):
        answer = client.audio.transcriptions.create(model="whisper-base", file=("a.wav", spanish),
                                                    extra_body={"languages": languages})
        return answer.languages[0].code
    assert heard(["en", "es", "de"]) == "es"
    assert heard(["en", "de"]) in ("en", "de")
    assert heard(["fr"]) == "fr"
    with pytest.raises(openai.BadRequestError) as caught:
        heard(["en", "klingon"])
    assert "klingon" in str(caught.value)


def upload(server, name, sound):
    mark = b"mark7"
    parts = [b'name="name"\r\n\r\n' + name.encode(), b'name="audio_sample"; filename="a.wav"\r\n\r\n' + sound]
    body = b"".join(b"--" + mark + b"\r\ncontent-disposition: form-data; " + p + b"\r\n" for p in parts) + b"--" + mark + b"--\r\n"
    request = urllib.request.Request(server.v1 + "/audio/voices", body,
                                     {"content-type": "multipart/form-data; boundary=" + mark.decode()})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def test_voices_come_and_go(server, client, spanish):
    voice = upload(server, "mine", spanish)
    assert voice["name"] == "mine" and voice["uploaded"]
    listed = json.loads(get(server.v1 + "/audio/voices?model=kokoro"))["data"]
    assert {"af_heart", voice["id"]} <= {v["id"] for v in listed}
    with pytest.raises(urllib.error.HTTPError) as caught:
        upload(server, "mine", spanish)
    assert caught.value.code == 409
    with pytest.raises(urllib.error.HTTPError) as caught:
        upload(server, "other", b"no sound at all")
    assert caught.value.code in (400, 415)
    # Kokoro has voices of its own and imitates none.
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.speech.create(model="kokoro", voice=voice["id"], input="hi")
    assert "kokoro" in str(refused.value).lower()
    url = server.v1 + "/audio/voices/" + voice["id"]
    with urllib.request.urlopen(urllib.request.Request(url, method="DELETE")) as response:
        assert json.load(response)["deleted"] is True
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE"))
    assert caught.value.code == 404


def test_an_unknown_voice_is_named_with_its_neighbours(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(model="kokoro", voice="af_haert", input="hi")
    assert "af_heart" in str(caught.value)


def test_cors(server):
    def ask(method, origin):
        headers = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        request = urllib.request.Request(server.v1 + "/models", headers=headers, method=method)
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, response.headers
        except urllib.error.HTTPError as error:
            return error.code, error.headers
    for method in ["OPTIONS", "GET"]:
        status, headers = ask(method, "https://app.example")
        assert status in (200, 204) and headers["access-control-allow-origin"] == "https://app.example"
        status, headers = ask(method, "https://evil.example")
        assert status == 403 and headers["access-control-allow-origin"] is None


def test_a_full_queue_is_429_with_a_time_to_come_back(server, client):
    long = (TEXT + " ") * 60
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        def speak(_):
            try:
                with client.audio.speech.with_streaming_response.create(
                        model="kokoro", voice="af_heart", input=long, response_format="pcm") as response:
                    next(response.iter_bytes())
                    time.sleep(1)
                    return None
            except openai.RateLimitError as error:
                return error.response
        answers = [a for a in pool.map(speak, range(6)) if a is not None]
    assert answers and all(int(a.headers["retry-after"]) >= 1 for a in answers)
    assert answers[0].json()["error"]["type"] == "rate_limit_error"


def test_errors_hold_no_path_of_the_server(tmp_path):
    broken = tmp_path / "private-folder-name"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "mossformer2_se"}')
    (broken / "model.safetensors").write_bytes(b"cut")
    with serving("--model", f"broken={broken}") as other:
        request = urllib.request.Request(other.v1 + "/models/broken/load", method="POST")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        body = caught.value.read().decode()
        assert "broken" in body and "private-folder-name" not in body and str(tmp_path) not in body, body
        other.wait_log("model_load_failed.*private-folder-name")
    # A model may be called by its path.
    with serving("--model", f"{broken}={broken}") as other:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(other.v1 + "/models", json.dumps({"model": str(broken)}).encode(), timeout=30)
        assert caught.value.code == 500


def test_answers_are_as_the_document_says(tmp_path):
    """schemathesis makes requests out of /openapi.json; pulls are left out, they ask a Hub."""
    with serving("--preload", "whisper-tiny.en") as server:
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", server.url + "/openapi.json", "--max-examples", "5", "--seed", "1",
             "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
             "--exclude-path", "/v1/models/pull"], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def loaded(server):
    return {m["id"] for m in json.loads(get(server.v1 + "/models"))["data"] if m["loaded"]}


def test_models_leave_by_age_and_by_memory(spanish):
    with serving("--idle-unload", "1", "--preload", "whisper-tiny.en") as server:
        server.wait_log("model_unload")
        assert not loaded(server)
        assert server.client().audio.transcriptions.create(model="whisper-tiny.en", file=("a.wav", spanish)).text
    with serving("--memory-limit", "400M", "--preload", "kokoro") as server:
        server.wait_log("model_loaded")
        assert loaded(server) == {"kokoro"}
        server.client().audio.transcriptions.create(model="whisper-base", file=("a.wav", spanish))
        assert loaded(server) == {"whisper-base"}, "Kokoro made room"


def test_a_second_signal_stops_now():
    with serving("--preload", "kokoro", ends=[128 + signal.SIGTERM]) as server:
        with server.client().audio.speech.with_streaming_response.create(
                model="kokoro", voice="af_heart", input=(TEXT + " ") * 60, response_format="pcm") as response:
            next(response.iter_bytes())
            server.process.send_signal(signal.SIGTERM)
            server.wait_log("draining")
            start = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(timeout=10) == 128 + signal.SIGTERM
            assert time.monotonic() - start < 5


def test_the_name_of_mlx_audio_s_server(tmp_path):
    name = tmp_path / "mlx_audio.server"
    name.symlink_to(PROGRAM)
    with serving(program=name, command=()) as server:
        assert json.loads(get(server.v1 + "/models"))["object"] == "list"
