// The company's identity provider: oidc-provider (certified OpenID provider) with a login page and the people of a file.
// provider.mjs FOLDER: settings.json (issuer, port, clients, keys), people.json (read again at each request),
// certificate.pem and key.pem lie there.
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { text } from 'node:stream/consumers';
import Provider from 'oidc-provider';

const folder = process.argv[2];
const read = (name) => readFileSync(`${folder}/${name}`, 'utf8');
const person = (login) => JSON.parse(read('people.json')).find((one) => one.login === login);
const same = (a, b) => timingSafeEqual(...[a, b].map((value) => createHash('sha256').update(value).digest()));
const settings = JSON.parse(read('settings.json'));

const provider = new Provider(settings.issuer, {
  clients: settings.clients,
  jwks: settings.jwks,
  cookies: { keys: settings.cookie_keys },
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email'], groups: ['groups'] },
  scopes: ['openid', 'offline_access'],
  pkce: { required: () => true },
  // GitLab and many others keep granting a refresh token to a web application that did not ask for one.
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  ttl: { AccessToken: settings.access_token_seconds, Session: 3600, Grant: 3600, Interaction: 600, IdToken: 600, RefreshToken: 3600 },
  features: { devInteractions: { enabled: false } },
  findAccount: (ctx, login) => person(login) && {
    accountId: login,
    claims: () => {
      const { name, email, groups } = person(login);
      return { sub: login, name, email, groups, preferred_username: login };
    },
  },
  // The company's own applications need no consent of its people.
  loadExistingGrant: async (ctx) => {
    const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope([...ctx.oidc.requestParamScopes].join(' '));
    await grant.save();
    return grant;
  },
  interactions: { url: (ctx, interaction) => `/login/${interaction.uid}` },
});

const page = (message) => `<!doctype html><title>Company login</title><h1>Company login</h1>
<p id="message">${message}</p><form method="post"><input name="login" autofocus><input name="password" type="password">
<button id="submit">Log in</button></form>`;

async function login(request, response) {
  await provider.interactionDetails(request, response); // fails unless this browser began the login
  let message = '';
  if (request.method === 'POST') {
    const form = new URLSearchParams(await text(request));
    const known = person(form.get('login'));
    if (known && same(known.password, form.get('password') ?? '')) {
      await provider.interactionFinished(request, response, { login: { accountId: known.login } });
      return;
    }
    message = 'Wrong login or password.';
  }
  response.writeHead(message ? 401 : 200, { 'content-type': 'text/html; charset=utf-8' }).end(page(message));
}

const serve = provider.callback();
provider.on('server_error', (ctx, error) => console.error(error));
for (const event of ['authorization.error', 'grant.error', 'userinfo.error']) {
  provider.on(event, (ctx, error) => console.error(event, error.error_description));
}
createServer({ cert: read('certificate.pem'), key: read('key.pem') }, (request, response) => {
  console.log(request.method, request.url.split('?')[0]);
  if (!request.url.startsWith('/login/')) return serve(request, response);
  return login(request, response).catch((error) => {
    console.error(error.message);
    response.writeHead(400).end('This login has expired: begin again at the application.');
  });
}).listen(settings.port, settings.address);
