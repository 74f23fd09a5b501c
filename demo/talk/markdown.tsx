import { lexer, type Token, type Tokens } from "marked";
import type { ComponentChildren, JSX } from "preact";

/**
 * Renders an answer's Markdown to elements, never to HTML text, so nothing in an answer is executed or fetched: raw HTML is shown as
 * text, pictures as their description, and links lead only to web pages.
 */
export function Markdown({ text }: { text: string }) {
  return <div class="markdown">{blocks(lexer(text))}</div>;
}

function blocks(tokens: readonly Token[]): JSX.Element[] {
  return tokens.map((token, i) => <Block key={i} token={token} />);
}

function Block({ token }: { token: Token }) {
  const own = token as Tokens.Generic;
  switch (token.type) {
    case "space":
      return null;
    case "heading":
      // The levels above these belong to the page.
      return own.depth <= 1 ? <h3>{inline(own.tokens)}</h3> : <h4>{inline(own.tokens)}</h4>;
    case "code":
      return (
        <pre>
          <code>{own.text}</code>
        </pre>
      );
    case "blockquote":
      return <blockquote>{blocks(own.tokens ?? [])}</blockquote>;
    case "list": {
      const { items, ordered, start, raw } = token as Tokens.List;
      // "1." is a complete answer, not an empty list.
      if (items.every((item) => item.text === "")) return <p>{raw}</p>;
      const entries = items.map((item, i) => <li key={i}>{blocks(item.tokens)}</li>);
      return ordered ? <ol start={start === "" ? undefined : start}>{entries}</ol> : <ul>{entries}</ul>;
    }
    case "table":
      return <Table table={token as Tokens.Table} />;
    case "hr":
      return <hr />;
    case "html":
      return <p>{own.text}</p>;
    case "text":
      return <>{own.tokens ? inline(own.tokens) : own.text}</>;
    default:
      return <p>{inline(own.tokens ?? [], own.raw)}</p>;
  }
}

function Table({ table }: { table: Tokens.Table }) {
  return (
    <div class="wide">
      <table>
        <thead>
          <tr>
            {table.header.map((cell, i) => (
              <th key={i} scope="col">
                {inline(cell.tokens)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, i) => (
            <tr key={i}>
              {row.map((cell, j) => (
                <td key={j}>{inline(cell.tokens)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inline(tokens: readonly Token[] | undefined, otherwise = ""): ComponentChildren {
  if (!tokens || tokens.length === 0) return otherwise;
  return tokens.map((token, i) => <Inline key={i} token={token} />);
}

function Inline({ token }: { token: Token }): ComponentChildren {
  const own = token as Tokens.Generic;
  switch (token.type) {
    case "strong":
      return <strong>{inline(own.tokens)}</strong>;
    case "em":
      return <em>{inline(own.tokens)}</em>;
    case "del":
      return <del>{inline(own.tokens)}</del>;
    case "codespan":
      return <code>{own.text}</code>;
    case "br":
      return <br />;
    case "link":
      return /^https?:\/\//i.test(String(own.href)) ? (
        <a href={String(own.href)} target="_blank" rel="noopener noreferrer nofollow">
          {inline(own.tokens)}
        </a>
      ) : (
        own.raw
      );
    case "image":
      return <>{own.text || own.raw}</>;
    case "escape":
      return <>{own.text}</>;
    default:
      return <>{own.tokens ? inline(own.tokens) : own.type === "text" ? decoded(own.text) : own.raw}</>;
  }
}

/** Decodes the few entities that Markdown's escapes produce; the text of an element decodes none. */
function decoded(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => ENTITIES[name]!);
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };
