// The picker: the model with all its adapters, the model without any, and each adapter alone.

let models = [];

// `onRefused` is asked for a key where one is wanted: only at moments at which a question is no surprise.
async function refreshModels(onRefused = async () => false) {
  try {
    models = await listModels();
  } catch (error) {
    // Anything else shows when a question is asked; the picker keeps what it has.
    if (error.status === 401 && (await onRefused(error))) await refreshModels(onRefused);
    return;
  }
  showModels();
  show();
}

let shown = "";

function showModels() {
  const picker = by("model");
  const wanted = JSON.stringify([language, models]);
  if (wanted === shown) return; // new options would close the list under the person's hand
  shown = wanted;
  const chosen = picker.value;
  const adapters = models.filter((model) => model.parent);
  const own = models.filter((model) => !model.parent);
  const name = ({ id }) => {
    if (!adapters.length || id === own[0].id) return adapters.length ? t("model_merged", { name: id }) : id;
    return t("model_base", { name: own[0].id });
  };
  const options = [
    group(t("models"), own.map((model) => new Option(name(model), model.id))),
    ...(adapters.length ? [group(t("adapters"), adapters.map(({ id }) => new Option(id, id)))] : []),
  ];
  picker.replaceChildren(...(models.length ? options : [new Option(t("model_default"), "")]));
  if (models.some(({ id }) => id === chosen)) picker.value = chosen;
  picker.disabled = models.length < 2;
}

function group(title, options) {
  const node = element("optgroup");
  node.label = title;
  node.append(...options);
  return node;
}
