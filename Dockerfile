# The service with the ONNX engine and without torch: docs/portable.md#in-a-container.
#   docker build -t lampblack .
#   docker run -p 8000:8000 -e LAMPBLACK_TOKEN=... -v $PWD/model.onnx:/model.onnx:ro lampblack
FROM python:3.11-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY docker/requirements.txt constraints.txt /tmp/install/
RUN pip install --no-cache-dir -r /tmp/install/requirements.txt -c /tmp/install/constraints.txt
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps /tmp/wheels/*.whl && rm -r /tmp/install /tmp/wheels
RUN useradd --system --no-create-home --uid 10001 lampblack
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["lampblack"]
CMD ["serve", "/model.onnx", "--host", "0.0.0.0"]
