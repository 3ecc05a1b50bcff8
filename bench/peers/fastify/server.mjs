// fastify with onnxruntime-node. MODEL is the .onnx file, PORT where to listen, WORKERS how many processes.
import cluster from 'node:cluster';
import fastify from 'fastify';
import ort from 'onnxruntime-node';

const workers = Number(process.env.WORKERS ?? 1);
if (workers > 1 && cluster.isPrimary) {
  for (let i = 0; i < workers; i++) cluster.fork();
} else {
  const session = await ort.InferenceSession.create(process.env.MODEL, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const input = session.inputNames[0];
  const arrays = { FP32: Float32Array, INT64: BigInt64Array };
  const types = { FP32: 'float32', INT64: 'int64' };
  const datatypes = { float32: 'FP32', int64: 'INT64' };

  const app = fastify({ bodyLimit: 64 << 20 });
  app.get('/ready', async () => ({}));
  app.post('/v2/models/:model/infer', async (request) => {
    const t = request.body.inputs[0];
    const answers = await session.run({ [input]: new ort.Tensor(types[t.datatype], arrays[t.datatype].from(t.data), t.shape) });
    return {
      model_name: request.params.model,
      outputs: session.outputNames.map((name) => ({
        name,
        datatype: datatypes[answers[name].type],
        shape: answers[name].dims,
        data: Array.from(answers[name].data, Number),
      })),
    };
  });
  app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (request, body, done) => done(null, body));
  app.post('/binary/:model/infer', async (request, reply) => {
    const length = Number(request.headers['inference-header-content-length']);
    const t = JSON.parse(request.body.toString('utf8', 0, length)).inputs[0];
    const bytes = request.body.buffer.slice(request.body.byteOffset + length, request.body.byteOffset + request.body.length);
    const answers = await session.run({ [input]: new ort.Tensor(types[t.datatype], new arrays[t.datatype](bytes), t.shape) });
    const blobs = session.outputNames.map((name) => Buffer.from(answers[name].data.buffer, answers[name].data.byteOffset, answers[name].data.byteLength));
    const head = Buffer.from(JSON.stringify({
      model_name: request.params.model,
      outputs: session.outputNames.map((name, i) => ({
        name,
        datatype: datatypes[answers[name].type],
        shape: answers[name].dims,
        parameters: { binary_data_size: blobs[i].length },
      })),
    }));
    reply.header('Inference-Header-Content-Length', head.length).type('application/octet-stream');
    return Buffer.concat([head, ...blobs]);
  });
  await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });
}
