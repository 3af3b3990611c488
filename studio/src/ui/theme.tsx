// Dark, light, or as the system has it.
import { useState } from "preact/hooks";

const CHOICES = ["auto", "light", "dark"] as const;
type Choice = (typeof CHOICES)[number];
const KEY = "steward.theme";
const WORDS: Record<Choice, string> = { auto: "As the system", light: "Light", dark: "Dark" };

function chosen(): Choice {
  const kept = localStorage.getItem(KEY);
  return CHOICES.find((choice) => choice === kept) ?? "auto";
}

export function applyTheme(): void {
  document.documentElement.dataset.theme = chosen();
}

export function ThemeSwitch() {
  const [theme, setTheme] = useState(chosen);
  const change = (event: Event): void => {
    const next = (event.currentTarget as HTMLSelectElement).value as Choice;
    localStorage.setItem(KEY, next);
    applyTheme();
    setTheme(next);
  };
  return (
    <label class="theme">
      <span>Colours</span>
      <select value={theme} onChange={change}>
        {CHOICES.map((choice) => (
          <option key={choice} value={choice}>
            {WORDS[choice]}
          </option>
        ))}
      </select>
    </label>
  );
}
