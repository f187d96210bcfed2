// Completion in a study file: keys and values from the schema, at the place of the cursor.

import type { Completion, CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import { keysAt, valuesAt, type Offer, type Schema } from "./schema.js";
import { placeAt } from "./yaml_place.js";

export function completions(schema: () => Schema | null) {
  return (context: CompletionContext): CompletionResult | null => {
    const known = schema();
    const place = known && placeAt(context.state.doc.toString(), context.pos);
    if (!known || !place || (place.from === context.pos && !context.explicit)) return null;
    // an item of a list may be a value, or a mapping that begins with a key
    const keys = keysAt(known, place.path).filter((offer) => !place.taken.includes(offer.name));
    const options =
      place.kind === "key"
        ? [...keys.map(key), ...(place.path.at(-1) === 0 ? valuesAt(known, place.path).map(value) : [])]
        : valuesAt(known, place.path).map(value);
    return options.length ? { from: place.from, options, validFor: /^[\w.\-]*$/ } : null;
  };
}

function key(offer: Offer): Completion {
  return {
    label: offer.name,
    apply: offer.nested ? `${offer.name}:` : `${offer.name}: `,
    detail: offer.required ? `${offer.detail}, needed` : offer.detail,
    info: offer.about || undefined,
    boost: offer.required ? 10 : 0,
    type: "property",
  } as Completion;
}

function value(offer: Offer): Completion {
  return { label: offer.name, detail: offer.detail, info: offer.about || undefined, type: "constant" } as Completion;
}
