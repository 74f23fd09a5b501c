export function KeptModels(_: {
  onLoad: (choice: import("./model.js").ModelChoice) => void;
  dtype: import("ocellus").HoldType;
}) {
  return null;
}
