# A web server on Modal that renders one chunk per request: server.mjs. `modal deploy modal_app.py`
#
# The secret `helios` has STORAGE, TOKEN and the keys of the storage.
import subprocess

import modal

image = (
    modal.Image.from_registry("node:22-slim", add_python="3.12")
    .apt_install("ffmpeg")
    .workdir("/app")
    .run_commands("npm init -y && npm install @helios-project/infrastructure")
    .add_local_dir("../lib", "/app/lib")
    .add_local_dir(".", "/app/workers")
)
app = modal.App("helios-render", image=image)


@app.function(cpu=2, memory=4096, timeout=150, secrets=[modal.Secret.from_name("helios")])
@modal.web_server(8080)
def render():
    subprocess.Popen(["node", "/app/workers/server.mjs"])
