/* Keeps the sum beside each number of seats right while it is changed. Without it the page shows the first sum and its number. */
for (const field of document.querySelectorAll("[data-seats]")) {
  const input = field.querySelector("input");
  const sum = field.querySelector("output strong");
  const number = field.querySelector("output span");
  const { amount, currency, per, mode, tiers = `:${amount}:0` } = field.dataset;
  // "100:50:0,:40:0": up to 100 for 50 each, then for 40; the last has no end. As billing/catalog/model.py counts.
  const steps = tiers.split(",").map((tier) => tier.split(":").map((part) => (part === "" ? Infinity : Number(part))));
  const money = new Intl.NumberFormat("en-US", { style: "currency", currency });
  // Stripe's amounts are in the smallest unit; Intl knows how many digits that is, save for two currencies.
  const digits = ["isk", "ugx"].includes(currency) ? 2 : money.resolvedOptions().maximumFractionDigits;

  input.addEventListener("input", () => {
    number.textContent = input.value || "–";
    sum.textContent = input.checkValidity()
      ? `${money.format(charge(steps, mode, input.valueAsNumber) / 10 ** digits)} a ${per}`
      : "–";
  });
}

function charge(steps, mode, seats) {
  if (mode === "volume") {
    const [, each, flat] = steps.find(([upTo]) => seats <= upTo);
    return each * seats + flat;
  }
  let [sum, below] = [0, 0];
  for (const [upTo, each, flat] of steps) {
    const top = Math.min(seats, upTo);
    if (top > below) sum += each * (top - below) + flat;
    below = Math.max(below, top);
  }
  return sum;
}
