// The obvious first version of a gateway: Koa, koa-bodyparser and send() of @xmpp/component. Nothing is
// confirmed.
import { component, xml } from '@xmpp/component';
import Koa from 'koa';
import bodyParser from 'koa-bodyparser';

const { PORT, XMPP_PORT, XMPP_DOMAIN, XMPP_SECRET, AUTHORIZATION } = process.env;

const xmpp = component({
  service: `xmpp://127.0.0.1:${XMPP_PORT}`,
  domain: XMPP_DOMAIN,
  password: XMPP_SECRET,
});
xmpp.on('error', (error) => console.error(error));

const app = new Koa();
app.use(bodyParser());
app.use(async (ctx) => {
  const path = /^\/messages\/([^/]+)$/.exec(ctx.path);
  if (path === null) ctx.throw(404);
  if (ctx.get('Authorization') !== AUTHORIZATION) ctx.throw(401);
  const { to, body, message_attributes: attributes } = ctx.request.body;
  const from = `${decodeURIComponent(path[1])}@example.org`;
  await xmpp.send(xml('message', { type: 'chat', ...attributes, from, to }, xml('body', {}, body)));
  ctx.body = { status: 'success', id: attributes.id };
});

await xmpp.start();
app.listen(Number(PORT), '127.0.0.1', () => process.send?.('ready'));
process.once('disconnect', () => process.exit());
