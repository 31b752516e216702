/* Keeps the sum beside each number of seats right while it is changed. Without it the page shows the first sum. */
for (const field of document.querySelectorAll("[data-seats]")) {
  const input = field.querySelector("input");
  const sum = field.querySelector("output strong");
  const { amount, currency, per } = field.dataset;
  const money = new Intl.NumberFormat("en-US", { style: "currency", currency });
  // Stripe's amounts are in the smallest unit; Intl knows how many digits that is, save for two currencies.
  const digits = ["isk", "ugx"].includes(currency) ? 2 : money.resolvedOptions().maximumFractionDigits;

  input.addEventListener("input", () => {
    sum.textContent = input.checkValidity()
      ? `${money.format((Number(amount) * input.valueAsNumber) / 10 ** digits)} a ${per}`
      : "–";
  });
}
