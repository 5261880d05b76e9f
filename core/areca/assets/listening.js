// Space and enter are a button's own keys. The arrow keys move between clips, and one clip plays at a time.
// Without scripts the browser's own controls are there.
const clips = [...document.querySelectorAll("figure")];
for (const clip of clips) {
  const [button, audio, now] = ["button", "audio", ".now"].map((name) => clip.querySelector(name));
  const show = () => {
    const started = audio.currentTime > 0 || !audio.paused;
    clip.classList.toggle("playing", !audio.paused);
    button.setAttribute("aria-pressed", String(!audio.paused));
    clip.style.setProperty("--at", `${audio.duration ? (100 * audio.currentTime) / audio.duration : 0}%`);
    now.textContent = started ? `${audio.currentTime.toFixed(2)} of ` : "";
  };
  const seek = (event) => {
    const wave = clip.querySelector(".wave").getBoundingClientRect();
    const at = (event.clientX - wave.left) / wave.width;
    if (audio.duration && at >= 0) audio.currentTime = at * audio.duration;
    return at >= 0;
  };
  button.addEventListener("click", (event) => {
    const byKey = event.detail === 0;
    if (!audio.paused && (byKey || !seek(event))) return audio.pause();
    if (!byKey && !audio.duration) audio.addEventListener("loadedmetadata", () => seek(event), { once: true });
    else if (!byKey) seek(event);
    if (audio.paused) audio.play().catch(show);
  });
  audio.addEventListener("play", () => {
    for (const other of clips) if (other !== clip) other.querySelector("audio").pause();
  });
  audio.addEventListener("ended", () => (audio.currentTime = 0));
  for (const event of ["play", "pause", "timeupdate", "seeked"]) audio.addEventListener(event, show);
  audio.controls = false;
}
document.addEventListener("keydown", (event) => {
  const at = clips.findIndex((clip) => clip.querySelector("button") === document.activeElement);
  const last = clips.length - 1;
  const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: last }[event.key];
  if (at < 0 || to === undefined || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  clips[Math.min(Math.max(to, 0), last)].querySelector("button").focus();
});
