// A plain text field until the editor has arrived: typing never waits.

import { useEffect, useRef, useState } from "preact/hooks";
import type { CodeEditor } from "./code_editor";

/// `given` is put into the field when it changes; what is typed goes out by `onText` and does not come
/// back: it would overtake fast typing.
export function Editor({
  given,
  onText,
  onRun,
}: {
  given: string;
  onText: (text: string) => void;
  onRun: () => void;
}) {
  const holder = useRef<HTMLDivElement>(null);
  const editor = useRef<CodeEditor | undefined>(undefined);
  const [isRich, setIsRich] = useState(false);
  const text = useRef(given);
  const calls = useRef({ onText, onRun });
  calls.current = { onText, onRun };
  const type = (next: string) => {
    text.current = next;
    calls.current.onText(next);
  };

  useEffect(() => {
    let gone = false;
    void import("./code_editor").then(({ makeCodeEditor }) => {
      const parent = holder.current;
      if (gone || !parent) return;
      const hadFocus = parent.contains(document.activeElement);
      editor.current = makeCodeEditor(
        parent,
        text.current,
        type,
        () => calls.current.onRun(),
      );
      setIsRich(true);
      if (hadFocus) editor.current.focus();
    });
    return () => {
      gone = true;
      editor.current?.destroy();
    };
  }, []);

  useEffect(() => {
    text.current = given;
    editor.current?.setText(given);
  }, [given]);

  return (
    <div class="editor" ref={holder}>
      {!isRich && (
        <textarea
          id="expression"
          aria-label="PromQL expression"
          rows={1}
          spellcheck={false}
          defaultValue={given}
          onInput={(e) => type(e.currentTarget.value)}
          onKeyDown={(e) => {
            if (e.key !== "Enter" || e.shiftKey) return;
            e.preventDefault();
            onRun();
          }}
        />
      )}
    </div>
  );
}
