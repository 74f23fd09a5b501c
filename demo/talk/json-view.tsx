/** JSON as a form to read: objects as tables of names and values, arrays as lists. */
export function JsonView({ value }: { value: unknown }) {
  if (Array.isArray(value)) {
    return (
      <ol class="json">
        {value.map((item, i) => (
          <li key={i}>
            <JsonView value={item} />
          </li>
        ))}
      </ol>
    );
  }
  if (typeof value === "object" && value !== null) {
    return (
      <table class="json">
        <tbody>
          {Object.entries(value).map(([name, item]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>
                <JsonView value={item} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    );
  }
  return <span>{typeof value === "string" ? value : JSON.stringify(value)}</span>;
}

/** The object or array that an answer is; undefined for other texts. */
export function jsonOf(text: string): object | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as object;
  } catch {
    return undefined;
  }
}
