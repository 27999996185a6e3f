// Peer: oidc-provider, everything in memory, which no real deployment can do, but which is its best case.
//
//   NODE_ENV=production node oidc_provider.mjs PORT MODULES
//
// client_credentials and refresh_token (rotated) give ES256 JWT access tokens at /token. GET /fresh answers refresh
// tokens, one a line, as the consent of an end user would have made them.
import http from 'node:http';
import path from 'node:path';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [port, modules] = process.argv.slice(2);
const require = createRequire(pathToFileURL(path.join(modules, 'package.json')));
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));
const { exportJWK, generateKeyPair } = await import(pathToFileURL(require.resolve('jose')));

const API = 'https://api.example.com';
const SCOPE = 'videos.read videos.write';
const DAY = 24 * 60 * 60;
const FRESH = 150;

// Plain maps: the adapter that comes with it forgets all but a thousand entries, so that under load good tokens fail.
const entries = new Map();
const ofGrant = new Map();

class Memory {
  constructor(model) {
    this.model = model;
  }
  key(id) {
    return `${this.model}:${id}`;
  }
  async upsert(id, payload) {
    entries.set(this.key(id), payload);
    if (payload.grantId) {
      if (!ofGrant.has(payload.grantId)) ofGrant.set(payload.grantId, []);
      ofGrant.get(payload.grantId).push(this.key(id));
    }
  }
  async find(id) {
    return entries.get(this.key(id));
  }
  async consume(id) {
    entries.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    entries.delete(this.key(id));
  }
  async revokeByGrantId(grantId) {
    for (const key of ofGrant.get(grantId) ?? []) entries.delete(key);
    ofGrant.delete(grantId);
  }
}

const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: Memory,
  jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'bench' }] },
  clients: [
    {
      client_id: 'bench',
      client_secret: 'a-secret-of-the-bench-of-forty-chars-only',
      grant_types: ['client_credentials', 'refresh_token', 'authorization_code'],
      redirect_uris: ['https://client.example.com/'],
      token_endpoint_auth_method: 'client_secret_post',
      id_token_signed_response_alg: 'ES256',
    },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => API,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: SCOPE,
        audience: API,
        accessTokenTTL: 3600,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256', kid: 'bench' } },
      }),
    },
  },
  scopes: ['openid', 'offline_access', ...SCOPE.split(' ')],
  rotateRefreshToken: true,
  ttl: { AccessToken: 3600, ClientCredentials: 3600, Grant: 30 * DAY, RefreshToken: 30 * DAY, Session: 30 * DAY },
  findAccount: (context, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
});

async function freshRefreshToken(accountId) {
  const grant = new provider.Grant({ accountId, clientId: 'bench' });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(API, SCOPE);
  const token = new provider.RefreshToken({
    accountId,
    client: await provider.Client.find('bench'),
    grantId: await grant.save(),
    gty: 'authorization_code',
    scope: `offline_access ${SCOPE}`,
    resource: API,
    claims: {},
    rotations: 0,
    iiat: Math.floor(Date.now() / 1000),
    expiresWithSession: false,
  });
  return token.save();
}

const answer = provider.callback();
http
  .createServer(async (request, response) => {
    if (request.url !== '/fresh') return answer(request, response);
    const tokens = [];
    for (let n = 0; n < FRESH; n++) tokens.push(await freshRefreshToken(`account-${n}`));
    response.end(tokens.join('\n'));
  })
  .listen(Number(port), '127.0.0.1');
