import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
import api from 'undici/lib/api/index.js';

// The parts of undici that are used. Its index loads fetch, caches, mocks and cookies as well, which would be two thirds of the time until the
// first request. The index gives dispatchers their methods; so does this.
Object.assign(Dispatcher.prototype, api);

export { default as Agent } from 'undici/lib/dispatcher/agent.js';
export { default as ProxyAgent } from 'undici/lib/dispatcher/proxy-agent.js';
