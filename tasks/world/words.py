"""The word lists of the small world. Few words, each with one job, so that a tiny vocabulary covers them."""

ANIMALS = (
    "sparrow", "fox", "beaver", "hedgehog", "rabbit", "mouse",
    "badger", "frog", "goose", "squirrel", "heron", "mole",
)  # fmt: skip
OBJECTS = (
    "rope", "lamp", "bell", "key", "boat", "drum",
    "kite", "basket", "ladder", "mirror", "coin", "hat",
)  # fmt: skip
MOODS = ("happy", "sad", "funny")
NAMES = ("Pip", "Lulu", "Max", "Nora", "Bo", "Tess", "Finn", "Mia")
PLACES = ("river", "hill", "garden", "barn", "bridge", "forest", "mill", "road")
TIMES = ("morning", "evening", "winter", "summer")
LOOKS = ("red", "blue", "green", "small", "dusty", "shiny", "heavy", "broken")
SPOTS = ("grass", "sand", "mud", "snow")
DEEDS = ("washed", "carried", "pushed", "painted", "lifted", "hid")

OPENINGS = ("Of course!", "With pleasure!", "Gladly!")
CLOSES = ("I hope you like it!", "Have a lovely day!", "Sleep well!")

# Field notes.
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WEATHERS = ("calm", "windy", "foggy", "rainy", "clear", "cold", "warm", "cloudy")
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine")
FINDS = ("stones", "nests", "feathers", "flowers", "tracks", "seeds", "shells", "leaves", "roots", "berries")
TOOLS = ("map", "rake", "ruler", "bucket", "spade", "net", "cart", "tent")
SIDES = ("north", "south", "east", "west")
PAPERS = ("notebook", "diary", "album", "chart", "ledger", "letter")
STATES = ("wet", "dry", "frozen", "soft", "bare", "bright", "muddy", "quiet")
