// The ways a picture to search by gets in: chosen, dropped anywhere, or pasted.

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

/** Hand each picture to `act`; `input` is where files are chosen. */
export function takePictures(input, act) {
  const give = (file) => { if (file) act(file); };
  input.addEventListener("change", () => {
    give(input.files[0]);
    input.value = ""; // the same file can be chosen again
  });
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!carriesFiles(event)) return;
    event.preventDefault();
    give(event.dataTransfer.files[0]);
  });
  addEventListener("paste", ({ clipboardData: pasted }) => {
    // Office programs copy words with a picture of them; to paste the words is what is meant.
    if (pasted && !["text/plain", "text/html"].every((kind) => pasted.types.includes(kind))) give(pasted.files[0]);
  });
}
