/* A few paper dots once the plan is really there; none for those who asked for less motion. */
const card = document.querySelector("[data-celebrate]");
if (card && matchMedia("(prefers-reduced-motion: no-preference)").matches) {
  const paper = document.createElement("canvas");
  paper.className = "confetti";
  paper.setAttribute("aria-hidden", "true");
  paper.width = innerWidth;
  paper.height = innerHeight;
  document.body.append(paper);
  const pen = paper.getContext("2d");
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--h") || 155;
  const dots = Array.from({ length: 90 }, () => ({
    x: Math.random() * paper.width, y: -Math.random() * paper.height * 0.4, r: 3 + Math.random() * 4,
    vx: (Math.random() - 0.5) * 2, vy: 2 + Math.random() * 3, h: Number(ink) + (Math.random() - 0.5) * 160,
  }));
  const start = performance.now();
  const draw = (t) => {
    pen.clearRect(0, 0, paper.width, paper.height);
    for (const dot of dots) {
      dot.x += dot.vx; dot.y += dot.vy; dot.vy += 0.03;
      pen.fillStyle = `oklch(70% .14 ${dot.h})`;
      pen.beginPath(); pen.arc(dot.x, dot.y, dot.r, 0, 7); pen.fill();
    }
    if (t - start < 2500) requestAnimationFrame(draw); else paper.remove();
  };
  requestAnimationFrame(draw);
}
