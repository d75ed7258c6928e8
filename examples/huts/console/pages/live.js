// Keeps the page as things are. Without it, a reload does.
const connection = document.getElementById("connection");
const events = new EventSource("/world/events");
events.onopen = () => { connection.textContent = "This page is live."; };
events.onerror = () => { connection.textContent = "Not connected: what is shown may be old."; };
events.onmessage = (event) => {
	for (const [id, html] of Object.entries(JSON.parse(event.data))) {
		const place = document.getElementById(id);
		if (place && place.innerHTML !== html) place.innerHTML = html;
	}
};

// A button does its work without a new page, so that it keeps the focus.
document.addEventListener("submit", async (event) => {
	event.preventDefault();
	const answer = await fetch(event.target.action, {
		method: "POST",
		body: new URLSearchParams(new FormData(event.target, event.submitter)),
		redirect: "manual",
	}).catch(() => null);
	if (!answer || answer.type !== "opaqueredirect") connection.textContent = "That did not work.";
});
