// A customer buys with stripe-node: what the simulator answers and sends must be what Stripe's own library takes.
// Usage: node shop.mjs PORT PATH_TO_STRIPE_MODULE; prints one JSON object.
import http from "node:http";
import { createRequire } from "node:module";

const [port, home] = process.argv.slice(2);
const Stripe = createRequire(home + "/")("stripe");
const stripe = new (Stripe.default ?? Stripe)("sk_test_" + "0".repeat(24), {
  host: "127.0.0.1",
  port: Number(port),
  protocol: "http",
  maxNetworkRetries: 0,
});

const seen = new Set();
let secret = "";
const letters = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    try {
      const event = stripe.webhooks.constructEvent(Buffer.concat(parts), request.headers["stripe-signature"], secret);
      seen.add(event.type);
      response.writeHead(200).end();
    } catch {
      response.writeHead(400).end();
    }
  });
});
await new Promise((listening) => letters.listen(0, "127.0.0.1", listening));

const endpoint = await stripe.webhookEndpoints.create({
  url: `http://127.0.0.1:${letters.address().port}/`,
  enabled_events: ["checkout.session.completed", "customer.subscription.created", "invoice.paid"],
});
secret = endpoint.secret;

const price = await stripe.prices.create({
  currency: "usd",
  unit_amount: 2900,
  recurring: { interval: "month" },
  product_data: { name: "Pro" },
});
const customer = await stripe.customers.create({ email: "kim@example.com" }, { idempotencyKey: "kim" });
const again = await stripe.customers.create({ email: "kim@example.com" }, { idempotencyKey: "kim" });
const session = await stripe.checkout.sessions.create({
  mode: "subscription",
  customer: customer.id,
  line_items: [{ price: price.id, quantity: 1 }],
  success_url: "https://shop.example/welcome",
});
const card = { number: "4242424242424242", expiry: "12 / 50", cvc: "123" };
await fetch(session.url, { method: "POST", body: new URLSearchParams(card), redirect: "manual" });
const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ["subscription.latest_invoice"] });

let refused = null;
try {
  await stripe.customers.create({ colour: "red" });
} catch (error) {
  refused = [error.type, error.code, error.param];
}

const deadline = Date.now() + 10_000;
while (seen.size < 3 && Date.now() < deadline) await new Promise((later) => setTimeout(later, 20));
letters.close();
letters.closeAllConnections();

console.log(
  JSON.stringify({
    same: again.id === customer.id,
    status: paid.subscription.status,
    total: paid.subscription.latest_invoice.total,
    seen: [...seen].sort(),
    refused,
  }),
);
