import { createServer } from 'node:http';
import ms from 'ms';

const started = Date.now();
const message = (): string => `up for ${ms(Date.now() - started, { long: true })}\n`;

if (process.argv.includes('--once')) {
  process.stdout.write(message());
} else {
  const port = Number(process.env['PORT'] ?? 8080);
  const server = createServer((_request, response) => response.end(message()));
  server.listen(port, () => process.stdout.write(`listening on ${port}\n`));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => server.close());
}
